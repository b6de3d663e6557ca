// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/attention.hpp>
#include <formwork/heads.hpp>
#include <formwork/mask.hpp>
#include <formwork/position.hpp>
#include <formwork/scale.hpp>
#include <formwork/score.hpp>
#include <formwork/weights.hpp>

#include <tuple>
#include <variant>
#include <vector>

#include "laws/mixer_laws.hpp"
#include "oracle/attend.hpp"

// Every pair of attention's policies, gradients against central differences. Positions have a program each, in which scores,
// scales, heads, softmax and urpe take turns so that every two of them meet; so have the other weights. Each of these attentions
// runs with every mask, and with every scale that is a plain value: these are chosen at run time, to the kernel they are one
// type.
namespace pairs {

namespace fw = formwork;
using fw::Index;

inline const fw::sequences batch{6, 3};

/// Any of some masks.
template <bool Ahead, class... Mask>
struct one_of {
  using plugs_into = fw::slot::mask;
  static constexpr bool sees_ahead = Ahead;
  std::variant<Mask...> mask;

  auto ask(auto f) const { return std::visit(f, mask); }
  fw::key_spans spans(fw::query_site q) const {
    return ask([&](const auto& m) { return m.spans(q); });
  }
  Index count(fw::query_site q) const {
    return ask([&](const auto& m) { return m.count(q); });
  }
  bool visible(fw::query_site q, Index key) const {
    return ask([&](const auto& m) { return m.visible(q, key); });
  }
};
using causal_documents = fw::both<fw::causal, fw::documents>;
using past = one_of<false, fw::causal, fw::sliding_window, fw::sink_window>;
using any = one_of<true, fw::full, fw::causal, fw::sliding_window, fw::sink_window, fw::prefix, fw::documents, fw::unilm,
                   causal_documents>;

template <class Mask>
std::vector<Mask> every() {
  std::vector<Mask> masks{{fw::causal{}}, {fw::sliding_window{3}}, {fw::sink_window{1, 2}}};
  if constexpr (Mask::sees_ahead) {
    const fw::documents two{batch, std::vector<Index>{0, 0, 0, 1, 1, 1, 0, 0, 1}};
    const fw::unilm target{batch, std::vector<Index>{0, 0, 1, 1, 1, 1, 0, 1, 1}};
    masks.insert(masks.end(), {{fw::full{}}, {fw::prefix{2}}, {two}, {target}, {causal_documents{{}, two}}});
  }
  return masks;
}

/// Any of the scales that are values.
struct any_scale {
  using plugs_into = fw::slot::scale;
  std::variant<fw::inv_sqrt, fw::log_n> scale = {};
  double operator()(fw::scale_site at) const {
    return std::visit([&](const auto& s) { return s(at); }, scale);
  }
};
inline const std::vector<any_scale> values{{fw::inv_sqrt{}},
                                           {fw::log_n{.base = 4, .smallest = 2}},
                                           {fw::log_n{.base = 4, .at_least = 1}},
                                           {fw::log_n::kappa(1.5, 4)}};

using S = double;
using scores = std::tuple<fw::plain, fw::softcap, fw::learned_formula<S, oracle::learned_tanh>>;
using scales = std::tuple<any_scale, fw::temperature<S, any_scale>, fw::temperature<S, fw::cosine>>;
using heads = std::tuple<fw::grouped, fw::talking_heads<S>>;
using weights = std::tuple<fw::softmax, fw::urpe<S>>;

/// The turn of the position in that place at which score number `Score` meets the others.
template <int Place, int Score, class Position, class Mask = any,
          class Weights = std::tuple_element_t<(Place / 2 + Score) % 2, weights>>
using attention = fw::attention<S, Mask, Position, std::tuple_element_t<Score, scores>,
                                std::tuple_element_t<(Place + 2 * Score) % 3, scales>,
                                std::tuple_element_t<(Place + Score) % 2, heads>, Weights>;

template <class Attention>
void gradients_are_right(Attention& m) {
  struct with_input {
    fw::parameter<S> x;
    Attention& mixer;
    static auto fields(with_input& w) { return fw::fields("x", w.x, "attention", w.mixer); }
  } all{{laws::normal_matrix<S>(batch.rows(), 8, 3), fw::role::matrix}, m};
  const auto weight = laws::normal_matrix<S>(batch.rows(), 8, 4);
  const auto report = fw::gradcheck(
      all,
      [&](fw::tape<S>& t) {
        const auto flat = fw::use(t, all.x);
        auto x = t.leaf(fw::matrix<S>(flat.value()), fw::share(batch), false);
        x = fw::record(x, [d = fw::gradient_of(flat)](fw::matrix<S>& dx) { d.add(std::move(dx)); }, flat);
        return fw::sum(fw::multiply(m(x), t.constant(fw::matrix<S>(weight), batch)));
      },
      {.every_up_to = 24, .sample = 12});
  INFO(report);
  CHECK(report);
}

/// Sets the plain value inside a scale, where there is one; tells whether there is.
inline bool set(any_scale& scale, const any_scale& value) { return scale = value, true; }
inline bool set(fw::temperature<S, any_scale>& scale, const any_scale& value) { return set(scale.base, value); }
inline bool set(auto&, const any_scale&) { return false; }

/// One type of attention with every mask and every plain scale; tells how many compositions these are.
template <class Attention>
int check() {
  const bool shares = std::same_as<typename Attention::heads_type, fw::grouped>;
  Attention m = laws::make_mixer<Attention>({.width = 8, .heads = 2, .key_heads = shares ? 1 : 0});
  fw::rng random(5);  // what starts as the identity, as ones or as zeros is something else now
  fw::for_each_parameter(m, [&](auto& p) {
    for (Index i = 0; i < p.size(); ++i) p.value().data()[i] += 0.1 * random.normal();
  });
  int count = 0;
  const auto masks = every<typename Attention::mask_type>();
  for (std::size_t i = 0; i < masks.size(); ++i)
    for (std::size_t v = 0; v < values.size(); ++v) {
      m.mask = masks[i];
      if (!set(m.scale, values[v]) && v > 0) break;
      CAPTURE(i, v);
      gradients_are_right(m);
      ++count;
    }
  return count;
}

/// The program of the position in that place.
template <int Place, class Position, class Mask = any>
int check_position() {
  return check<attention<Place, 0, Position, Mask>>() + check<attention<Place, 1, Position, Mask>>() +
         check<attention<Place, 2, Position, Mask>>();
}

/// The program of weights beside those two.
template <class Weights>
int check_weights() {
  return check<attention<0, 0, fw::no_position, any, Weights>>() + check<attention<1, 1, fw::rope<>, any, Weights>>() +
         check<attention<3, 2, fw::alibi, any, Weights>>() + check<attention<5, 0, fw::t5<S>, any, Weights>>();
}

}  // namespace pairs
