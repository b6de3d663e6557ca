// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/attention/scored_attention.hpp>
#include <formwork/contract/mixer.hpp>
#include <formwork/layer/tokens_seen.hpp>
#include <formwork/mask/causal.hpp>

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
template <number S, class... Policy>
struct attention : scored_attention<S, causal, Policy...> {
  static_assert((fits_one_of<Policy, slot::mask, slot::position, slot::scale, slot::score, slot::heads, slot::weights,
                             slot::observer> && ...),
                "formwork: attention takes a mask, a position, a scale, a score, a heads and a weights policy, and observers; "
                "give anything else to the block or the model");
  static_assert(policies_for<slot::mask, Policy...> > 0,
                "formwork: attention needs a mask; state causal, full or one of your own");

  using base = scored_attention<S, causal, Policy...>;
  using typename base::mask_type, typename base::position_type, typename base::scale_type, typename base::turning;
  using base::shape, base::output, base::project, base::q, base::k, base::v, base::mask, base::position;

  using plugs_into = slot::mixer;

  static_assert(!absolute_position<position_type>,
                "formwork: an absolute position is added to the embeddings of tokens; give it to the model, not to attention");
  static_assert(!causal_position<position_type> || !mask_type::sees_ahead,
                "formwork: this position makes scores grow without bound towards later keys; use it with a mask that does not see "
                "ahead, such as causal");

  /// What incremental decoding has seen: the keys, turned to their positions, and the values.
  struct state {
    key_value_cache<S> cache;
    turns<position_type, S> turn;  ///< by the table of every position up to the capacity
    unturned_keys<S> unturned;     ///< empty where nothing turns
    Index length = 0;              ///< declared
    kept_score_values<S> values = {};  ///< as they were when the state was made
  };

  turning_tables<position_type, S> tables = {};

  template <class... Value>
  static attention make(const builder& b, const Value&... given) {
    return {base::make(b, given...)};
  }

  /// The parallel form: whole sequences.
  var<S> operator()(const var<S>& x) const {
    const sequences& batch = x.batch();
    matrix<S> qkv = project(x, "attention"), kept(x.rows(), shape.heads);
    auto y = x.tape().output(x.rows(), shape.output_heads * shape.head_width, x.shared_batch());
    const auto turn = tables.of(position, shape.key_width, batch.longest(), batch.declared());
    const auto values = values_on(x.tape(), distances_met<mask_type>(batch.positions(), batch.longest()));
    auto scaled = scaled_by(values, q(qkv, shape), k(qkv, shape));
    if (x.tape().records()) scaled.remember(q(qkv, shape), k(qkv, shape));
    auto turned = turning::of(turn, q(qkv, shape), k(qkv, shape), shape, batch);
    recorded from(*this, values);
    relative_heads<position_type, S> relative(position, queries(turned, qkv), shape, values);
    relative.enter(from.policies.columns);
    attend_forward<S>(y.write(), kept, queries(turned, qkv), keys(turned, qkv), v(qkv, shape), batch, batch, turning::shape(shape),
                      from.policies);
    observe(x.tape(), kept, from.policies, queries(turned, qkv), keys(turned, qkv), batch, batch);
    relative.add_values(y.write(), values);
    auto backward = [x, y, qkv = std::move(qkv), turned = std::move(turned), kept = std::move(kept), turn,
                     scaled = std::move(scaled), from = std::move(from),
                     relative = std::move(relative)](matrix<S>& dy) mutable {
      const head_shape& h = from.shape;
      matrix<S> d(qkv.rows(), qkv.cols());
      turning dturned = turning::room(qkv.rows(), h);
      from.attend(turning::at(q(d, h), dturned.queries), turning::at(k(d, h), dturned.keys), v(d, h), dy, y, kept,
                  turning::at(q(qkv, h), turned.queries), turning::at(k(qkv, h), turned.keys), v(qkv, h), x.batch(), x.batch(),
                  relative);
      dturned.turn_back(turn, q(d, h), k(d, h), h, x.batch());
      scaled.backward(q(d, h), k(d, h), h, from.values.factors);
      from.backward(x, d);
    };
    return output(record_scored(x, y, std::move(backward), values));
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
    scaled_by(seen.values, q(qkv, shape), k(qkv, shape));
    if constexpr (rotates<position_type, S>) seen.unturned.append(k(qkv, shape), batch);
    const auto turned = turning::of(seen.turn, q(qkv, shape), k(qkv, shape), shape, batch);
    seen.cache.append(keys(turned, qkv), v(qkv, shape), batch);
    auto used = chosen(seen.values);
    relative_heads<position_type, S> relative(position, queries(turned, qkv), shape, seen.values);
    relative.enter(used.columns);
    matrix<S> kept = watched(x.tape()) ? matrix<S>(x.rows(), shape.heads) : matrix<S>();
    attend_forward<S>(y.write(), kept, queries(turned, qkv), seen.cache, batch, turning::shape(shape), used);
    observe(x.tape(), kept, used, queries(turned, qkv), seen.cache, batch);
    relative.add_values(y.write(), seen.values);
    return output(y);
  }

  state make_state(state_sizes room) const {
    state st{key_value_cache<S>(room.sequences, room.capacity, turning::shape(shape)),
             tables.of(position, shape.key_width, room.capacity, room.length), {}, room.length};
    if constexpr (rotates<position_type, S>)
      st.unturned = unturned_keys<S>(room.sequences, room.capacity, shape.key_heads * shape.key_width);
    tape<S> quiet{recording::off};
    st.values = kept_score_values<S>(values_on(quiet, distances_met<mask_type>(room.capacity, room.capacity)));
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

 private:
  using base::values_on, base::scaled_by, base::chosen, base::record_scored, base::watched, base::observe;
  using typename base::recorded;

  view<const S> queries(const turning& turned, const matrix<S>& qkv) const {
    return turning::at(q(qkv, shape), turned.queries);
  }
  view<const S> keys(const turning& turned, const matrix<S>& qkv) const { return turning::at(k(qkv, shape), turned.keys); }
};

}  // namespace formwork
