// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/attention/projections.hpp>
#include <formwork/attention/score_values.hpp>
#include <formwork/attention/turned_heads.hpp>
#include <formwork/attention/turning.hpp>
#include <formwork/contract/heads.hpp>
#include <formwork/contract/mask.hpp>
#include <formwork/contract/mixer.hpp>
#include <formwork/contract/observer.hpp>
#include <formwork/contract/position.hpp>
#include <formwork/contract/scale.hpp>
#include <formwork/contract/score.hpp>
#include <formwork/contract/weights.hpp>
#include <formwork/heads/independent.hpp>
#include <formwork/kernel/attend.hpp>
#include <formwork/layer/tokens_seen.hpp>
#include <formwork/mask/causal.hpp>
#include <formwork/scale/inv_sqrt.hpp>
#include <formwork/score/plain.hpp>
#include <formwork/weights/softmax.hpp>

#include <array>
#include <cstddef>
#include <string_view>
#include <tuple>
#include <utility>

namespace formwork::inline FORMWORK_ABI {

/// Multi-head softmax attention, composed from an order-free list of policies; the mask must be stated:
///
///   attention<float, causal, rope<>, softcap>
///
///   q, k, v = x Q, x K, x V -> scaled, turned -> scores q · k scale -> score formula, bias -> mask -> weights -> values -> output
///
/// Any number of observers beside them, as in attention<float, causal, row_entropy, largest_logit>, say something of each row of
/// weights where the tape watches, and change and cost nothing otherwise.
///
/// Shapes    x, y (tokens × width); Q (width × query_heads · key_width), K (width × key_heads · key_width), V (width ×
///           value_heads · head_width), O (output_heads · head_width × width). How many heads of each kind there are is the
///           heads policy's to say; widths of 0 mean width / heads.
/// Numerics  see kernel/attend.hpp; the incremental form gives the bits of the parallel one, where both are declared the same
///           length.
/// Throws    argument_error for sizes that do not divide, a wrong width, a state that is full or was declared another length.
/// Source    Vaswani et al., 1706.03762; key_width apart from head_width: kexue.fm/archives/7325.
template <real S, class... Policy>
struct attention : projections<S> {
  static_assert((fits_one_of<Policy, slot::mask, slot::position, slot::scale, slot::score, slot::heads, slot::weights,
                             slot::observer> && ...),
                "formwork: attention takes a mask, a position, a scale, a score, a heads and a weights policy, and observers; "
                "give anything else to the block or the model");
  static_assert(policies_for<slot::mask, Policy...> > 0,
                "formwork: attention needs a mask; state causal, full or one of your own");
  static_assert((fits_scalar<Policy, S> && ...),
                "formwork: a policy that learns has its own scalar; give it that of the attention: talking_heads<S>");

  using base = projections<S>;
  using base::shape, base::output, base::project, base::record_from, base::q, base::k, base::v;

  using plugs_into = slot::mixer;
  using scalar = S;
  using mask_type = pick_t<slot::mask, causal, Policy...>;
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

  static_assert(!absolute_position<position_type>,
                "formwork: an absolute position is added to the embeddings of tokens; give it to the model, not to attention");
  static_assert(!causal_position<position_type> || !mask_type::sees_ahead,
                "formwork: this position makes scores grow without bound towards later keys; use it with a mask that does not see "
                "ahead, such as causal");

  static_assert(separate_heads<heads_type> || !sees_by_head<mask_type>,
                "formwork: heads that mix see the same keys; give them one mask, or take heads that do not mix");

  /// What incremental decoding has seen: the keys, turned to their positions, and the values.
  struct state {
    key_value_cache<S> cache;
    turns<position_type, S> turn;  ///< by the table of every position up to the capacity
    unturned_keys<S> unturned;     ///< empty where nothing turns
    Index length = 0;              ///< declared
    kept_score_values<S> values = {};  ///< as they were when the state was made
  };

  mask_type mask = {};
  position_type position = {};
  scale_type scale = {};
  score_type score = {};
  heads_type heads = {};
  weights_type weights = {};
  observer_types observers = {};
  turning_tables<position_type, S> tables = {};

  template <class... Value>
  static attention make(const builder& b, const Value&... given) {
    heads_type heads = make_policy<heads_type>(b, given...);
    attention m{base::make(b, heads.shape(b.sizes))};
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

  /// The parallel form: whole sequences.
  var<S> operator()(const var<S>& x) const {
    const sequences& batch = x.batch();
    matrix<S> qkv = project(x, "attention"), kept(x.rows(), shape.heads);
    auto y = x.tape().output(x.rows(), shape.output_heads * shape.head_width, x.shared_batch());
    const auto turn = tables.of(position, shape.key_width, batch.longest(), batch.declared());
    const auto values = score_values<S>::make(x.tape(), scale, score, position, weights, shape,
                                              distances_met<mask_type>(batch.positions(), batch.longest()));
    auto scaled = scaled_by(values, qkv);
    if (x.tape().records()) scaled.remember(q(qkv, shape), k(qkv, shape));
    auto turned = turning::of(turn, q(qkv, shape), k(qkv, shape), shape, batch);
    recorded from(*this, values);
    attend_forward<S>(y.write(), kept, queries(turned, qkv), keys(turned, qkv), v(qkv, shape), batch, batch, turning::shape(shape),
                      from.policies);
    observe(x.tape(), kept, from.policies, queries(turned, qkv), keys(turned, qkv), batch, batch);
    auto backward = [x, y, qkv = std::move(qkv), turned = std::move(turned), kept = std::move(kept), turn,
                     scaled = std::move(scaled), from = std::move(from)](matrix<S>& dy) {
      from.backward(x, y, qkv, turned, kept, turn, scaled, dy);
    };
    const base& layer = *this;  // g++ 12 fails to capture `this` in a generic lambda
    return output(with_parameters(
        heads, [&](const auto&... mixing) { return layer.record_from(x, y, std::move(backward), values, mixing...); }));
  }

  /// The incremental form: x holds the next tokens of each sequence; the state remembers them.
  var<S> operator()(const var<S>& x, state& seen) const {
    static_assert(incremental_mask<mask_type>,
                  "formwork: this mask lets a query see later keys, so there is no incremental form; use causal or another "
                  "mask that does not see ahead");
    require(!x.tape().records(), "attention: a state is for inference; needs tape{recording::off}");
    const sequences batch = next_places(
        "attention", x.batch(), seen.cache.count(), [&](Index s) { return seen.cache.length(s); },
        [&](Index s) { return seen.cache.capacity(s); }, seen.length);
    if constexpr (mask_type::sees_ahead)
      for (Index s = 0; s < batch.count(); ++s) {
        const Index together = mask.keys_at_once(s), before = batch.start(s), come = batch.length(s);
        require(come == 0 || before >= together || (before == 0 && come >= together), "attention: the first ", together,
                " tokens of sequence ", s, " see each other but ", come, " come after ", before,
                "; needs all of them in one call");
      }
    matrix<S> qkv = project(x, "attention");
    auto y = x.tape().output(x.rows(), shape.output_heads * shape.head_width, x.shared_batch());
    scaled_by(seen.values, qkv);
    if constexpr (rotates<position_type, S>) seen.unturned.append(k(qkv, shape), batch);
    const auto turned = turning::of(seen.turn, q(qkv, shape), k(qkv, shape), shape, batch);
    seen.cache.append(keys(turned, qkv), v(qkv, shape), batch);
    const auto used = chosen(seen.values);
    matrix<S> kept = watched(x.tape()) ? matrix<S>(x.rows(), shape.heads) : matrix<S>();
    attend_forward<S>(y.write(), kept, queries(turned, qkv), seen.cache, batch, turning::shape(shape), used);
    observe(x.tape(), kept, used, queries(turned, qkv), seen.cache, batch);
    return output(y);
  }

  state make_state(state_sizes room) const {
    state st{key_value_cache<S>(room.sequences, room.capacity, turning::shape(shape)),
             tables.of(position, shape.key_width, room.capacity, room.length), {}, room.length};
    if constexpr (rotates<position_type, S>)
      st.unturned = unturned_keys<S>(room.sequences, room.capacity, shape.key_heads * shape.key_width);
    tape<S> quiet{recording::off};
    st.values = kept_score_values<S>(
        score_values<S>::make(quiet, scale, score, position, weights, shape,
                              distances_met<mask_type>(room.capacity, room.capacity)));
    return st;
  }

  /// Turns the keys of a state again, by the position policy that this layer has now and for that declared length (0: none):
  /// the calls that follow have the bits of a state that began so. In a model, later layers' keys and values still come from
  /// what the earlier ones computed before.
  ///
  /// Cost      a rotation of every key; nothing where positions do not turn keys.
  void turn_again(state& seen, Index length) const {
    if constexpr (rotates<position_type, S>) {
      const auto turn = tables.of(position, shape.key_width, seen.unturned.capacity(), length);
      const sequences rows = seen.cache.rows();
      matrix<S> keys = seen.unturned.first(rows);
      const matrix<S> parts = turning::turned_keys(turn, keys, shape, rows);
      seen.cache.replace_keys(turning::at(view<const S>(keys), parts));
      seen.turn = turn;
    }
    seen.length = length;
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

 private:
  auto mixing_gradients() const {
    return with_parameters(heads, [](const auto&... mixing) { return std::tuple(gradient_of(mixing)...); });
  }
  auto chosen(const auto& values) const {
    return attend_policies{mask, scale_in_kernel(scale), scores_in_kernel<S>(score, position, values),
                           weights_in_kernel<S>(weights, values),
                           in_kernel(heads), turning::columns(position, shape)};
  }

  bool watched(const tape<S>& t) const { return std::tuple_size_v<observer_types> > 0 && t.watched(); }

  /// Where the tape watches: what the observers see of the rows that attend_forward gave `kept`; queries, keys and batches as
  /// attend_observe takes them.
  void observe(tape<S>& t, const matrix<S>& kept, const auto& used, const auto&... queries_and_keys) const {
    if constexpr (std::tuple_size_v<observer_types> > 0) {
      if (!watched(t)) return;
      observations<S>& list = *t.watched();
      std::array<view<S>, std::tuple_size_v<observer_types>> seen;
      const auto add = [&](std::string_view name) { list.push_back({name, matrix<S>(kept.rows(), kept.cols())}); };
      std::apply([&](const auto&... o) { (add(o.name), ...); }, observers);
      for (std::size_t n = 0; n < seen.size(); ++n) seen[n] = list[list.size() - seen.size() + n].numbers;
      attend_observe<S>(seen, kept, queries_and_keys..., turning::shape(shape), used, observers);
    }
  }

  auto scaled_by(const auto& values, matrix<S>& qkv) const {
    return scaled_heads<scale_type, S>(q(qkv, shape), k(qkv, shape), shape, value_of(values.factors));
  }

  view<const S> queries(const turning& turned, const matrix<S>& qkv) const {
    return turning::at(q(qkv, shape), turned.queries);
  }
  view<const S> keys(const turning& turned, const matrix<S>& qkv) const { return turning::at(k(qkv, shape), turned.keys); }

  /// What a recording remembers of this layer: it may move before the backward pass.
  struct recorded : base::recorded {
    decltype(std::declval<const attention&>().mixing_gradients()) mixing;
    score_values<S> values;
    decltype(std::declval<const attention&>().chosen(std::declval<const score_values<S>&>())) policies;

    recorded(const attention& a, const score_values<S>& v)
        : base::recorded(a), mixing(a.mixing_gradients()), values(v), policies(a.chosen(v)) {}

    void backward(const var<S>& x, const var<S>& y, const matrix<S>& qkv, const turning& turned, const matrix<S>& kept,
                  const turns<position_type, S>& turn, const scaled_heads<scale_type, S>& scaled, const matrix<S>& dy) const {
      const head_shape& h = this->shape;
      matrix<S> d(qkv.rows(), qkv.cols());
      turning dturned = turning::room(qkv.rows(), h);
      auto learned = values.wanted();
      const auto run = [&](const auto&... heads_gradient) {
        attend_backward<S>(turning::at(q(d, h), dturned.queries), turning::at(k(d, h), dturned.keys), v(d, h), heads_gradient...,
                           dy, y.value(), kept, turning::at(q(qkv, h), turned.queries), turning::at(k(qkv, h), turned.keys),
                           v(qkv, h), x.batch(), x.batch(), turning::shape(h), policies, start::fresh, start::fresh, start::fresh,
                           learned);
      };
      if constexpr (separate_heads<heads_type>) {
        run();
      } else {
        matrix<S> dscores(h.query_heads, h.heads), dweights(h.heads, h.output_heads);
        run(head_mixing_gradient<S>{dscores, dweights});
        std::get<0>(mixing).add(std::move(dscores));
        std::get<1>(mixing).add(std::move(dweights));
      }
      values.add(std::move(learned));
      dturned.turn_back(turn, q(d, h), k(d, h), h, x.batch());
      scaled.backward(q(d, h), k(d, h), h, values.factors);
      base::recorded::backward(x, d);
    }
  };
};

}  // namespace formwork
