// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/heads.hpp>
#include <formwork/contract/mask.hpp>
#include <formwork/contract/mixer.hpp>
#include <formwork/contract/position.hpp>
#include <formwork/contract/scale.hpp>
#include <formwork/contract/score.hpp>
#include <formwork/contract/weights.hpp>
#include <formwork/kernel/attend.hpp>
#include <formwork/heads/independent.hpp>
#include <formwork/kernel/rotate.hpp>
#include <formwork/layer/linear.hpp>
#include <formwork/mask/causal.hpp>
#include <formwork/scale/inv_sqrt.hpp>
#include <formwork/score/plain.hpp>
#include <formwork/weights/softmax.hpp>

#include <memory>
#include <utility>

namespace formwork::inline FORMWORK_ABI {

template <class Position, class S>
struct turning_table : std::type_identity<char> {};
template <class Position, class S>
  requires rotates<Position, S>
struct turning_table<Position, S> : std::type_identity<typename Position::template table_type<S>> {};

/// Multi-head softmax attention, composed from an order-free list of policies; the mask must be stated:
///
///   attention<float, causal, rope<>, softcap>
///
///   q, k, v = x Q, x K, x V -> positions -> scores q · k scale -> score formula -> mask -> weights -> values -> output
///
/// Shapes    x, y (tokens × width); Q (width × query_heads · key_width), K (width × key_heads · key_width), V (width ×
///           value_heads · head_width), O (output_heads · head_width × width). How many heads of each kind there are is the
///           heads policy's to say; widths of 0 mean width / heads.
/// Numerics  see kernel/attend.hpp; the incremental form gives the bits of the parallel one.
/// Throws    argument_error for sizes that do not divide, a wrong width, or a state that is full.
/// Source    Vaswani et al., 1706.03762; key_width apart from head_width: kexue.fm/archives/7325.
template <real S, class... Policy>
struct attention {
  static_assert((fits_one_of<Policy, slot::mask, slot::position, slot::scale, slot::score, slot::heads, slot::weights> && ...),
                "formwork: attention takes a mask, a position, a scale, a score, a heads and a weights policy; give anything "
                "else to the block or the model");
  static_assert(policies_for<slot::mask, Policy...> > 0,
                "formwork: attention needs a mask; state causal, full or one of your own");
  static_assert((fits_scalar<Policy, S> && ...),
                "formwork: a policy that learns has its own scalar; give it that of the attention: talking_heads<S>");

  using plugs_into = slot::mixer;
  using scalar = S;
  using mask_type = pick_t<slot::mask, causal, Policy...>;
  using position_type = pick_t<slot::position, no_position, Policy...>;
  using scale_type = pick_t<slot::scale, inv_sqrt, Policy...>;
  using score_type = pick_t<slot::score, plain, Policy...>;
  using heads_type = pick_t<slot::heads, independent, Policy...>;
  using weights_type = pick_t<slot::weights, softmax, Policy...>;
  using policies = policy_list<mask_type, position_type, scale_type, score_type, heads_type, weights_type>;

  using table = std::shared_ptr<const typename turning_table<position_type, S>::type>;

  /// What incremental decoding has seen: the keys, turned to their positions, and the values.
  struct state {
    key_value_cache<S> cache;
    table turns;  ///< for every position up to the capacity
  };

  /// The table of the longest sequence met so far; call a model from one thread until it has met it.
  struct remembered_turns {
    table turns;
    position_type made_for = {};
  };

  linear<S> query, key, value, output;
  head_shape shape;
  mask_type mask = {};
  position_type position = {};
  scale_type scale = {};
  score_type score = {};
  heads_type heads = {};
  weights_type weights = {};
  mutable remembered_turns remembered = {};

  template <class... Value>
  static attention make(const builder& b, const Value&... given) {
    heads_type heads = {};
    (assign_value(given, heads), ...);
    const head_shape shape = heads.shape(b.sizes);
    const Index width = b.sizes.width;
    attention m{linear<S>::make(b, width, shape.query_heads * shape.key_width, place::query),
                linear<S>::make(b, width, shape.key_heads * shape.key_width, place::key),
                linear<S>::make(b, width, shape.value_heads * shape.head_width, place::value),
                linear<S>::make(b, shape.output_heads * shape.head_width, width, place::output), shape};
    (assign_value(given, m.mask, m.position, m.scale, m.score, m.heads, m.weights), ...);
    if constexpr (has_fields<heads_type>) m.heads.create(shape);
    return m;
  }

  /// The parallel form: whole sequences.
  var<S> operator()(const var<S>& x) const {
    const sequences& batch = x.batch();
    require_width(x);
    auto y = x.tape().output(x.rows(), shape.output_heads * shape.head_width, x.shared_batch());
    matrix<S> qkv = project(x.value()), kept(x.rows(), shape.heads);
    const table turns = turns_for(batch.longest());
    turn(qkv, turns, batch, direction::forward);
    attend_forward<S>(y.write(), kept, q(qkv), k(qkv), v(qkv), batch, batch, shape, chosen());
    auto backward = [x, y, qkv = std::move(qkv), kept = std::move(kept), turns, part = parts(*this)](matrix<S>& dy) {
      part.backward(x, y, qkv, kept, turns, dy);
    };
    return output(with_parameters(heads, [&](const auto&... mixing) {
      return record(y, std::move(backward), x, query.weight, query.bias, key.weight, key.bias, value.weight, value.bias, mixing...);
    }));
  }

  /// The incremental form: x holds the next tokens of each sequence; the state remembers them.
  var<S> operator()(const var<S>& x, state& seen) const {
    static_assert(!mask_type::sees_ahead,
                  "formwork: this mask lets a query see later keys, so there is no incremental form; use causal or another "
                  "mask that does not see ahead");
    require_width(x);
    require(!x.tape().records(), "attention: a state is for inference; needs tape{recording::off}");
    sequences batch = x.batch();
    require(batch.count() == seen.cache.count(), "attention: ", batch.count(), " sequences but the state has ",
            seen.cache.count(), "; needs as many");
    pooled_vector<Index> starts;
    for (Index s = 0; s < batch.count(); ++s) starts.push_back(seen.cache.length(s));
    batch.starts(starts);
    for (Index s = 0; s < batch.count(); ++s)
      require(batch.start(s) + batch.length(s) <= seen.cache.capacity(s), "attention: sequence ", s, " holds ", batch.start(s),
              " tokens and ", batch.length(s), " more come, but the state has room for ", seen.cache.capacity(s),
              "; needs a larger capacity in make_state");
    auto y = x.tape().output(x.rows(), shape.output_heads * shape.head_width, x.shared_batch());
    matrix<S> qkv = project(x.value());
    turn(qkv, seen.turns, batch, direction::forward);
    seen.cache.append(k(qkv), v(qkv), batch);
    attend_forward<S>(y.write(), {}, q(qkv), seen.cache, batch, shape, chosen());
    return output(y);
  }

  state make_state(state_sizes room) const {
    return {key_value_cache<S>(room.sequences, room.capacity, shape), turns_for(room.capacity)};
  }

  template <class M>
  static auto fields(M& m) {
    auto projections = formwork::fields("query", m.query, "key", m.key, "value", m.value, "output", m.output);
    if constexpr (has_fields<heads_type>)
      return std::tuple_cat(projections, formwork::fields("heads", m.heads));
    else
      return projections;
  }

 private:
  void require_width(const var<S>& x) const {
    require(x.cols() == query.in(), "attention: x is ", shape_text(x), " but query.weight is ", shape_text(query.weight),
            "; needs x.width = weight.in");
  }

  auto mixing_gradients() const {
    return with_parameters(heads, [](const auto&... mixing) { return std::tuple(gradient_of(mixing)...); });
  }
  auto chosen() const { return attend_policies{mask, scale, score, weights, in_kernel(heads)}; }

  // q, k and v lie side by side in one matrix.
  static auto columns_of(const head_shape& h, int which) {
    const Index width[] = {h.query_heads * h.key_width, h.key_heads * h.key_width, h.value_heads * h.head_width};
    return std::pair(which == 0 ? Index(0) : which == 1 ? width[0] : width[0] + width[1], width[which]);
  }
  template <class M>
  static auto part_of(M& qkv, const head_shape& h, int which) {
    const auto [first, count] = columns_of(h, which);
    return qkv.cols(first, count);
  }
  auto q(const matrix<S>& qkv) const { return part_of(qkv, shape, 0); }
  auto k(const matrix<S>& qkv) const { return part_of(qkv, shape, 1); }
  auto v(const matrix<S>& qkv) const { return part_of(qkv, shape, 2); }

  matrix<S> project(view<const S> x) const {
    matrix<S> qkv(x.rows(), query.out() + key.out() + value.out());
    const auto to = [&](int which, const linear<S>& by) {
      return into(part_of(qkv, shape, which), by.weight.value(), by.bias_epilogue());
    };
    products<S>(operands::nn, x, start::fresh, to(0, query), to(1, key), to(2, value));
    return qkv;
  }

  table turns_for(Index positions) const {
    if constexpr (rotates<position_type, S>) {
      auto& [turns, made_for] = remembered;
      if (turns && turns->capacity() >= positions && made_for == position) return turns;
      using made = typename position_type::template table_type<S>;
      turns = std::allocate_shared<const made>(pool_allocator<made>{}, position.template table<S>(shape.key_width, positions));
      made_for = position;
    }
    return remembered.turns;
  }
  void turn(matrix<S>& qkv, const table& turns, const sequences& batch, direction way) const {
    parts(*this).turn(qkv, turns, batch, way);
  }

  /// What a recording remembers of this layer: it may move before the backward pass.
  struct parts {
    typename parameter<S>::cell *weight[3], *bias[3];
    decltype(std::declval<const attention&>().mixing_gradients()) mixing;
    head_shape shape;
    position_type position;
    decltype(std::declval<const attention&>().chosen()) policies;

    explicit parts(const attention& a)
        : weight{a.query.weight.address(), a.key.weight.address(), a.value.weight.address()},
          bias{a.query.bias.address(), a.key.bias.address(), a.value.bias.address()},
          mixing(a.mixing_gradients()),
          shape(a.shape), position(a.position), policies(a.chosen()) {}

    void turn(matrix<S>& qkv, const table& turns, const sequences& batch, direction way) const {
      if constexpr (rotates<position_type, S>) {
        position.rotate(part_of(qkv, shape, 0), shape.query_heads, *turns, batch, way);
        position.rotate(part_of(qkv, shape, 1), shape.key_heads, *turns, batch, way);
      }
    }

    void backward(const var<S>& x, const var<S>& y, const matrix<S>& qkv, const matrix<S>& kept, const table& turns,
                  const matrix<S>& dy) const {
      matrix<S> d(qkv.rows(), qkv.cols());
      const auto run = [&](const auto&... heads_gradient) {
        attend_backward<S>(part_of(d, shape, 0), part_of(d, shape, 1), part_of(d, shape, 2), heads_gradient..., dy, y.value(), kept,
                           part_of(qkv, shape, 0), part_of(qkv, shape, 1), part_of(qkv, shape, 2), x.batch(), x.batch(), shape,
                           policies);
      };
      if constexpr (separate_heads<heads_type>) {
        run();
      } else {
        matrix<S> scores(shape.query_heads, shape.heads), weights(shape.heads, shape.output_heads);
        run(head_mixing_gradient<S>{scores, weights});
        std::get<0>(mixing).add(std::move(scores));
        std::get<1>(mixing).add(std::move(weights));
      }
      turn(d, turns, x.batch(), direction::backward);
      for (int i = 0; i < 3; ++i)
        linear<S>::backward(gradient_of(x), gradient_of_parameter<S>(weight[i]), gradient_of_parameter<S>(bias[i]),
                            part_of(d, shape, i), x.value(), weight[i]->value);
    }
  };
};

}  // namespace formwork
