// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/attention/projections.hpp>
#include <formwork/attention/relative_heads.hpp>
#include <formwork/attention/score_values.hpp>
#include <formwork/attention/turned_heads.hpp>
#include <formwork/contract/heads.hpp>
#include <formwork/contract/mask.hpp>
#include <formwork/contract/observer.hpp>
#include <formwork/contract/position.hpp>
#include <formwork/contract/scale.hpp>
#include <formwork/contract/score.hpp>
#include <formwork/contract/weights.hpp>
#include <formwork/heads/independent.hpp>
#include <formwork/kernel/attend.hpp>
#include <formwork/scale/inv_sqrt.hpp>
#include <formwork/score/plain.hpp>
#include <formwork/weights/softmax.hpp>

#include <array>
#include <string_view>
#include <tuple>
#include <utility>

namespace formwork::inline FORMWORK_ABI {

/// What attention within a text and attention to another one share: the policies of scores and weights around the projections,
/// and the way back through the fused kernel. Not a mixer itself.
template <number S, class DefaultMask, class... Policy>
struct scored_attention : projections<S> {
  static_assert((fits_scalar<Policy, S> && ...),
                "formwork: a policy that learns has its own scalar; give it that of the attention: talking_heads<S>");

  using base = projections<S>;
  using base::shape, base::q, base::k;

  using scalar = S;
  using mask_type = pick_t<slot::mask, DefaultMask, Policy...>;
  using position_type = pick_t<slot::position, no_position, Policy...>;
  using scale_type = pick_t<slot::scale, inv_sqrt, Policy...>;
  using score_type = pick_t<slot::score, plain, Policy...>;
  using heads_type = pick_t<slot::heads, independent, Policy...>;
  using weights_type = pick_t<slot::weights, softmax, Policy...>;
  using turning = turned_heads<position_type, mask_type, S>;
  using observer_types = all_for<slot::observer, Policy...>;
  using policies = policy_list<mask_type, position_type, scale_type, score_type, heads_type, weights_type, Policy...>;

  static_assert(((!fits_one_of<Policy, slot::observer> || observer_policy<Policy>) && ...),
                "formwork: an observer has a name, begin<S>(), take(row, at, scores, weights) and finish(row); see "
                "contract/observer.hpp");
  static_assert((!rotary_position<position_type> || rotates<position_type, S>)&&(!distance_position<position_type> ||
                                                                                 biases_distances<position_type, S>),
                "formwork: this position is written for plain numbers, template <real S>; numbers with slopes need template "
                "<number S>");
  static_assert(separate_heads<heads_type> || !sees_by_head<mask_type>,
                "formwork: heads that mix see the same keys; give them one mask, or take heads that do not mix");

  mask_type mask = {};
  position_type position = {};
  scale_type scale = {};
  score_type score = {};
  heads_type heads = {};
  weights_type weights = {};
  observer_types observers = {};

  template <class... Value>
  static scored_attention make(const builder& b, const Value&... given) {
    heads_type heads = make_policy<heads_type>(b, given...);
    scored_attention m{base::make(b, heads.shape(b.sizes))};
    fill_slots(m, given...);
    const auto at_heads = [&](Index count) {
      builder own = b;
      own.sizes.heads = count;
      return own;
    };
    m.scale = make_policy<scale_type>(at_heads(m.shape.query_heads), given...);
    m.weights = make_policy<weights_type>(at_heads(m.shape.output_heads), given...);
    m.position = make_policy<position_type>(b, given...);
    m.score = make_policy<score_type>(b, given...);
    m.heads = std::move(heads);
    return m;
  }

  template <class M>
  static auto slots(M& m) {
    return std::tuple_cat(std::tie(m.mask, m.position, m.scale, m.score, m.heads, m.weights),
                          std::apply([](auto&... o) { return std::tie(o...); }, m.observers));
  }
  template <class M>
  static auto fields(M& m) {
    return std::tuple_cat(base::fields(m), policy_field("position", m.position), policy_field("scale", m.scale),
                          policy_field("score", m.score), policy_field("weights", m.weights), policy_field("heads", m.heads));
  }

 protected:
  /// What the policies give for queries and keys of these distances.
  score_values<S> values_on(tape<S>& t, index_range distances) const {
    return score_values<S>::make(t, scale, score, position, weights, shape, distances);
  }
  auto chosen(const auto& values) const {
    return attend_policies{mask, scale_in_kernel(scale), scores_in_kernel<S>(score, position, values),
                           weights_in_kernel<S>(weights, values), in_kernel(heads), turning::columns(position, shape)};
  }
  auto scaled_by(const auto& values, view<S> queries, view<S> keys) const {
    return scaled_heads<scale_type, S>(queries, keys, shape, value_of(values.factors));
  }
  bool watched(const tape<S>& t) const { return std::tuple_size_v<observer_types> > 0 && t.watched(); }

  /// Where the tape watches: what the observers see of the rows that attend_forward gave `kept`; queries, keys and batches as
  /// attend_observe takes them.
  void observe(tape<S>& t, const matrix<S>& kept, const auto& used, const auto&... queries_and_keys) const {
    if constexpr (std::tuple_size_v<observer_types> > 0 && real<S>) {
      if (!watched(t)) return;
      observations<S>& list = *t.watched();
      std::array<view<S>, std::tuple_size_v<observer_types>> seen;
      const auto add = [&](std::string_view name) { list.push_back({name, matrix<S>(kept.rows(), kept.cols())}); };
      std::apply([&](const auto&... o) { (add(o.name), ...); }, observers);
      for (std::size_t n = 0; n < seen.size(); ++n) seen[n] = list[list.size() - seen.size() + n].numbers;
      attend_observe<S>(seen, kept, queries_and_keys..., turning::shape(shape), used, observers);
    }
  }

  auto mixing_gradients() const {
    return with_parameters(heads, [](const auto&... mixing) { return std::tuple(gradient_of(mixing)...); });
  }

  /// record(), for a y computed from x, from more where it is given, and from everything that this layer learns.
  template <class Backward, class... More>
  var<S> record_scored(const var<S>& x, const var<S>& y, Backward&& backward, const score_values<S>& values,
                       const More&... more) const {
    const base& layer = *this;  // g++ 12 fails to capture `this` in a generic lambda
    return with_parameters(heads, [&](const auto&... mixing) {
      return layer.record_from(x, y, std::forward<Backward>(backward), values, more..., mixing...);
    });
  }

  /// What a recording remembers of this layer: it may move before the backward pass.
  struct recorded : base::recorded {
    decltype(std::declval<const scored_attention&>().mixing_gradients()) mixing;
    score_values<S> values;
    decltype(std::declval<const scored_attention&>().chosen(std::declval<const score_values<S>&>())) policies;

    recorded(const scored_attention& a, const score_values<S>& v)
        : base::recorded(a), mixing(a.mixing_gradients()), values(v), policies(a.chosen(v)) {}

    /// The gradients of q, k and v as the kernel was given them; adds those of what scores, weights and heads learn.
    void attend(view<S> dq, view<S> dk, view<S> dv, const matrix<S>& dy, const var<S>& y, const matrix<S>& kept,
                view<const S> q, view<const S> k, view<const S> v, const sequences& batch, const sequences& key_batch,
                relative_heads<position_type, S>& relative) const {
      const head_shape& h = this->shape;
      auto learned = values.wanted();
      auto used = policies;
      relative.enter_backward(used.columns, dy, values);
      const auto run = [&](const auto&... heads_gradient) {
        attend_backward<S>(dq, dk, dv, heads_gradient..., dy, y.value(), kept, q, k, v, batch, key_batch, turning::shape(h), used,
                           start::fresh, start::fresh, start::fresh, learned);
      };
      if constexpr (separate_heads<heads_type>) {
        run();
      } else {
        matrix<S> dscores(h.query_heads, h.heads), dweights(h.heads, h.output_heads);
        run(head_mixing_gradient<S>{dscores, dweights});
        std::get<0>(mixing).add(std::move(dscores));
        std::get<1>(mixing).add(std::move(dweights));
      }
      relative.add_gradients(dq, q, dy, learned, values);
      values.add(std::move(learned));
    }
  };
};

}  // namespace formwork
