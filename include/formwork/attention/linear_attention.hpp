// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/attention/projections.hpp>
#include <formwork/contract/feature.hpp>
#include <formwork/contract/mask.hpp>
#include <formwork/contract/mixer.hpp>
#include <formwork/contract/position.hpp>
#include <formwork/feature/elu_plus_one.hpp>
#include <formwork/kernel/linear_attend.hpp>
#include <formwork/mask/causal.hpp>
#include <formwork/mask/full.hpp>

#include <memory>
#include <span>
#include <utility>

namespace formwork::inline FORMWORK_ABI {

/// Turns the features of a few rows of one head by a position policy and its table.
template <class Position, real S>
struct feature_turn {
  using table = typename Position::template table_type<S>;
  Position position = {};
  std::shared_ptr<const table> turns = {};

  void operator()(view<S> x, Index first, direction way) const {
    sequences rows{x.rows()};
    rows.starts(std::span(&first, 1));
    position.rotate(x, 1, *turns, rows, way);
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
/// need not sum to 1 then.
///
/// Shapes    x, y (tokens × width); the weights as in projections.
/// Numerics  see kernel/linear_attend_forward.hpp; the incremental form gives the bits of the parallel one.
/// Cost      linear in the tokens. A state is of one size whatever its capacity, but for a rotary position's table.
/// Throws    argument_error for sizes that do not divide, a wrong width, or a state that is full.
/// Source    Katharopoulos et al., 2006.16236; kexue.fm/archives/7546, 8265 (positions), 8338 (wide exponential features).
template <real S, class... Policy>
struct linear_attention : projections<S> {
  static_assert((fits_one_of<Policy, slot::mask, slot::position, slot::feature> && ...),
                "formwork: linear attention takes a mask, a feature map and a rotary position; it has no scores, so scale, "
                "score, weights and heads policies belong to attention");
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
  static_assert(feature_policy<feature_type>);

  static constexpr bool turning = rotates<position_type, S>;
  using turn_type = std::conditional_t<turning, feature_turn<position_type, S>, unturned>;

  /// What incremental decoding has seen.
  struct state {
    linear_attend_state<S> sums;
    Index capacity = 0;
    turn_type turn = {};  ///< by the table of every position up to the capacity
  };

  mask_type mask = {};
  position_type position = {};
  feature_type feature = {};
  mutable turn_type remembered = {};  ///< of the longest sequence met so far; call a model from one thread until it has met it

  template <class... Value>
  static linear_attention make(const builder& b, const Value&... given) {
    linear_attention m{base::make(b, "linear_attention")};
    (assign_value(given, m.mask, m.position, m.feature), ...);
    return m;
  }

  /// The parallel form: whole sequences.
  var<S> operator()(const var<S>& x) const {
    auto y = x.tape().output(x.rows(), shape.heads * shape.head_width, x.shared_batch());
    matrix<S> qkv = project(x, "linear_attention"), kept(x.rows(), shape.heads);
    const auto chosen = policies_with(turn_for(x.batch().longest()));
    linear_attend_forward<S>(y.write(), kept, q(qkv, shape), k(qkv, shape), v(qkv, shape), x.batch(), shape, chosen);
    const typename base::recorded from(*this);
    auto backward = [x, y, qkv = std::move(qkv), kept = std::move(kept), chosen, from](matrix<S>& dy) {
      const head_shape& h = from.shape;
      matrix<S> d(qkv.rows(), qkv.cols());
      linear_attend_backward<S>(q(d, h), k(d, h), v(d, h), dy, y.value(), kept, q(qkv, h), k(qkv, h), v(qkv, h), x.batch(), h,
                                chosen);
      from.backward(x, d);
    };
    return output(record_from(x, y, std::move(backward)));
  }

  /// The incremental form: x holds the next tokens of each sequence; the state remembers them.
  var<S> operator()(const var<S>& x, state& seen) const {
    static_assert(!mask_type::sees_ahead,
                  "formwork: this mask lets a query see later keys, so there is no incremental form; use causal");
    require(!x.tape().records(), "linear_attention: a state is for inference; needs tape{recording::off}");
    sequences batch = x.batch();
    require(batch.count() == seen.sums.count(), "linear_attention: ", batch.count(), " sequences but the state has ",
            seen.sums.count(), "; needs as many");
    pooled_vector<Index> starts;
    for (Index s = 0; s < batch.count(); ++s) starts.push_back(seen.sums.length(s));
    batch.starts(starts);
    for (Index s = 0; s < batch.count(); ++s)
      require(batch.start(s) + batch.length(s) <= seen.capacity, "linear_attention: sequence ", s, " holds ", batch.start(s),
              " tokens and ", batch.length(s), " more come, but the state has room for ", seen.capacity,
              "; needs a larger capacity in make_state");
    auto y = x.tape().output(x.rows(), shape.heads * shape.head_width, x.shared_batch());
    const matrix<S> qkv = project(x, "linear_attention");
    linear_attend_forward<S>(y.write(), q(qkv, shape), k(qkv, shape), v(qkv, shape), seen.sums, batch,
                             policies_with(seen.turn));
    return output(y);
  }

  state make_state(state_sizes room) const {
    return {linear_attend_state<S>(room.sequences, shape), room.capacity, turn_for(room.capacity)};
  }

 private:
  static constexpr key_sums sums = mask_type::sees_ahead ? key_sums::full : key_sums::causal;

  auto policies_with(const turn_type& turn) const {
    return linear_attend_policies<sums, feature_type, turn_type>{feature, turn};
  }

  turn_type turn_for(Index positions) const {
    if constexpr (turning) {
      auto& [made_for, turns] = remembered;
      if (!turns || turns->capacity() < positions || !(made_for == position)) {
        using table = typename turn_type::table;
        turns = std::allocate_shared<const table>(pool_allocator<table>{},
                                                  position.template table<S>(shape.key_width, positions));
        made_for = position;
      }
    }
    return remembered;
  }
};

}  // namespace formwork
