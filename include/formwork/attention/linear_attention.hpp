// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/attention/projections.hpp>
#include <formwork/attention/turning.hpp>
#include <formwork/contract/feature.hpp>
#include <formwork/contract/mask.hpp>
#include <formwork/contract/mixer.hpp>
#include <formwork/contract/position.hpp>
#include <formwork/feature/elu_plus_one.hpp>
#include <formwork/heads/grouped.hpp>
#include <formwork/kernel/linear_attend.hpp>
#include <formwork/layer/tokens_seen.hpp>
#include <formwork/mask/causal.hpp>
#include <formwork/mask/full.hpp>

#include <span>
#include <tuple>
#include <utility>

namespace formwork::inline FORMWORK_ABI {

/// Turns the features of a few rows of one head, the first of which has that position.
template <class Position, real S>
struct feature_turn {
  turns<Position, S> turn = {};

  void operator()(view<S> x, Index first, direction way) const {
    sequences rows{x.rows()};
    rows.starts(std::span(&first, 1));
    turn(x, 1, rows, way, side::queries);  // keys alike
  }
};

/// Multi-head linear attention, composed from an order-free list of policies: a mask, which must be stated (causal or full), a
/// feature map φ (elu_plus_one), a rotary position (none):
///
///   linear_attention<float, causal, elu_plus_one, rope<>>
///
///   q, k, v = x Q, x K, x V -> o_i = Σ_j [R_i φ(q_i) · R_j φ(k_j)] v_j / Σ_j φ(q_i) · φ(k_j) -> output
///
/// A rotary position turns the features of the numerator only, so that the denominator stays positive; the weights of a row
/// need not sum to 1 then. Where the map says so (one_plus_cos, favor, taylor_map, limit_map) it turns q and k before they are
/// mapped, in numerator and denominator.
///
/// Shapes    x, y (tokens × width); the weights as in projections.
/// Numerics  see kernel/linear_attend_forward.hpp; the incremental form gives the bits of the parallel one.
/// Cost      linear in the tokens. A state is of one size whatever its capacity, but for a rotary position's table.
/// Throws    argument_error for sizes that do not divide, a wrong width, a state that is full or was declared another length.
/// Source    Katharopoulos et al., 2006.16236; kexue.fm/archives/7546, 8265 (positions), 8338 (wide exponential features).
template <real S, class... Policy>
struct linear_attention : projections<S> {
  static_assert((fits_one_of<Policy, slot::mask, slot::position, slot::feature> && ...),
                "formwork: linear attention takes a mask, a feature map and a rotary position; it has no scores, so scale, "
                "score, weights and heads policies and observers belong to attention");
  static_assert(policies_for<slot::mask, Policy...> > 0, "formwork: linear attention needs a mask; state causal or full");

  using base = projections<S>;
  using base::output, base::project, base::shape, base::record_from, base::q, base::k, base::v;

  using plugs_into = slot::mixer;
  using scalar = S;
  using mask_type = pick_t<slot::mask, causal, Policy...>;
  using position_type = pick_t<slot::position, no_position, Policy...>;
  using feature_type = pick_t<slot::feature, elu_plus_one, Policy...>;
  using policies = policy_list<mask_type, position_type, feature_type>;

  static_assert(std::same_as<mask_type, causal> || std::same_as<mask_type, full>,
                "formwork: linear attention sums over all keys or those up to the query; use causal or full, or attention for "
                "this mask");
  static_assert(rotates<position_type, S> || std::same_as<position_type, no_position>,
                "formwork: linear attention has no scores that a position could be added to; use rope, or attention for this "
                "position");
  static_assert(!rotates_by_side<position_type, S> && !rotates_in_parts<position_type, S>,
                "formwork: linear attention turns the features of queries and keys alike; use rope, or attention for this "
                "position");
  static_assert(feature_policy<feature_type>);
  static_assert(feature_formula<feature_type> || maps_rows<feature_type, S>,
                "formwork: this feature map holds numbers of another scalar type than its linear attention; give both the same");
  static_assert(!looks_over_sequences<feature_type, S> || mask_type::sees_ahead,
                "formwork: this feature map normalises keys over their whole sequence, so a query would see later keys; use full, "
                "or exponential, the causal relative of efficient attention");

  static constexpr bool turning = rotates<position_type, S>;
  using turn_type = std::conditional_t<turning, feature_turn<position_type, S>, unturned>;

  /// What incremental decoding has seen.
  struct state {
    linear_attend_state<S> sums;
    Index capacity = 0;
    turn_type turn = {};  ///< by the table of every position up to the capacity
    Index length = 0;     ///< declared
  };

  mask_type mask = {};
  position_type position = {};
  feature_type feature = {};
  turning_tables<position_type, S> tables = {};

  template <class... Value>
  static linear_attention make(const builder& b, const Value&... given) {
    linear_attention m{base::make(b, grouped{}.shape(b.sizes))};
    fill_slots(m, given...);
    m.feature = make_policy<feature_type>(b, given...);
    return m;
  }

  /// The parallel form: whole sequences.
  var<S> operator()(const var<S>& x) const {
    matrix<S> qkv = project(x, "linear_attention"), kept(x.rows(), shape.heads);
    auto y = x.tape().output(x.rows(), shape.heads * shape.head_width, x.shared_batch());
    const auto turn = turn_for(x.batch().longest(), x.batch().declared());
    turn_inputs(turn, qkv, shape, x.batch(), direction::forward);
    if constexpr (over_sequences) feature.over_sequences(k(qkv, shape), shape.key_heads, x.batch());
    const auto chosen = policies_with(turn);
    linear_attend_forward<S>(y.write(), kept, q(qkv, shape), k(qkv, shape), v(qkv, shape), x.batch(), shape, chosen);
    const typename base::recorded from(*this);
    const auto map = [&] {  // as it is now: the layer may be given another before the backward pass
      if constexpr (over_sequences)
        return feature;
      else
        return unturned{};
    }();
    auto backward = [x, y, qkv = std::move(qkv), kept = std::move(kept), turn, chosen, map, from](matrix<S>& dy) {
      const head_shape& h = from.shape;
      matrix<S> d(qkv.rows(), qkv.cols());
      linear_attend_backward<S>(q(d, h), k(d, h), v(d, h), dy, y.value(), kept, q(qkv, h), k(qkv, h), v(qkv, h), x.batch(), h,
                                chosen);
      before_sequences(map, d, qkv, h, x.batch());
      turn_inputs(turn, d, h, x.batch(), direction::backward);
      from.backward(x, d);
    };
    return output(record_from(x, y, std::move(backward)));
  }

  /// The incremental form: x holds the next tokens of each sequence; the state remembers them.
  var<S> operator()(const var<S>& x, state& seen) const {
    static_assert(!mask_type::sees_ahead,
                  "formwork: this mask lets a query see later keys, so there is no incremental form; use causal");
    require(!x.tape().records(), "linear_attention: a state is for inference; needs tape{recording::off}");
    const sequences batch = next_places(
        "linear_attention", x.batch(), seen.sums.count(), [&](Index s) { return seen.sums.length(s); },
        [&](Index) { return seen.capacity; }, seen.length);
    matrix<S> qkv = project(x, "linear_attention");
    turn_inputs(seen.turn, qkv, shape, batch, direction::forward);
    auto y = x.tape().output(x.rows(), shape.heads * shape.head_width, x.shared_batch());
    linear_attend_forward<S>(y.write(), q(qkv, shape), k(qkv, shape), v(qkv, shape), seen.sums, batch,
                             policies_with(seen.turn));
    return output(y);
  }

  state make_state(state_sizes room) const {
    const Index features = policies_with({}).features_of(shape).key_width;
    return {linear_attend_state<S>(room.sequences, shape, features), room.capacity, turn_for(room.capacity, room.length),
            room.length};
  }

  /// Declares another length for a state, which keeps its table: a sum of turned features cannot be turned again.
  ///
  /// Throws    argument_error where the layer's table for that length is another than the state's; needs a new state.
  void turn_again(state& seen, Index length) const {
    if constexpr (turning)
      require(seen.turn.turn.position == turn_for(seen.capacity, length).turn.position,
              "linear_attention: the state is a sum of features turned by another table; needs a new state from make_state");
    seen.length = length;
  }

  template <class M>
  static auto slots(M& m) {
    return std::tie(m.mask, m.position, m.feature);
  }
  template <class M>
  static auto fields(M& m) {
    return std::tuple_cat(base::fields(m), policy_field("feature", m.feature));
  }

 private:
  static constexpr key_sums sums = mask_type::sees_ahead ? key_sums::full : key_sums::causal;

  static constexpr bool over_sequences = looks_over_sequences<feature_type, S>;
  static constexpr bool inputs_turn = turning && turns_inputs<feature_type>;

  auto policies_with(const turn_type& turn) const {
    const auto map = prepared<S>(feature, shape.key_width);
    if constexpr (inputs_turn)
      return linear_attend_policies<sums, std::remove_const_t<decltype(map)>>{map, {}};
    else
      return linear_attend_policies<sums, std::remove_const_t<decltype(map)>, turn_type>{map, turn};
  }
  /// Gradients of keys from those of what the map made of them over their sequences.
  static void before_sequences(const auto& map, matrix<S>& d, const matrix<S>& qkv, const head_shape& h, const sequences& batch) {
    if constexpr (over_sequences) map.over_sequences_backward(k(d, h), view<const S>(k(qkv, h)), h.key_heads, batch);
  }
  static void turn_inputs(const turn_type& by, matrix<S>& qkv, const head_shape& h, const sequences& batch, direction way) {
    if constexpr (inputs_turn) {
      by.turn(q(qkv, h), h.query_heads, batch, way, side::queries);
      by.turn(k(qkv, h), h.key_heads, batch, way, side::keys);
    }
  }

  turn_type turn_for(Index positions, Index length) const {
    if constexpr (turning)
      return {tables.of(position, shape.key_width, positions, length)};
    else
      return {};
  }
};

}  // namespace formwork
