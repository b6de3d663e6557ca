// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/position.hpp>
#include <formwork/position/rope.hpp>

#include <limits>

namespace formwork::inline FORMWORK_ABI {

/// Rotary positions that leak: a distance r below the window counts as it is, from there on tokens stand `step` times as close,
///
///   r -> r                            for r < window
///     -> window + (r - window) / step  beyond,
///
/// so that a model which was trained on short texts meets no distance it has not seen. Distances to later keys likewise, with
/// their sign. Step 1 is rope itself, bit for bit; an infinite one is re_rope, where all beyond the window stand at its edge;
/// below 1 it is the inverse leaky form: trained so, a model is used at step 1, for the price of rope. Window and step
/// may be changed in a trained model.
///
/// Shapes    x (tokens × heads · key_width), as rope.
/// Units     window in tokens; step in tokens to one.
/// Numerics  both ways of turning are exact to rope's rounding; sequences no longer than the window have rope's bits.
/// Cost      queries and keys twice, for a mask that sees ahead three times (a state's keys too); scores twice for the
///           blocks of keys that the window's edge passes, else once.
/// Throws    argument_error for window < 1 or step <= 0.
/// Source    kexue.fm/archives/9708, 9728; github.com/bojone/rerope.
/// Differs   one pass of the fused kernel, where the reference makes two whole matrices of scores; log_n is a policy of its own.
template <pairing Pairing = pairing::half>
struct leaky_re_rope {
  using plugs_into = slot::position;
  static constexpr pairing pairs = Pairing;

  /// Within the window; beyond it of queries for earlier keys, of queries for later ones, of keys.
  template <class S>
  struct tables {
    rotary_table<S> near, behind, ahead, far_keys;

    Index capacity() const { return near.capacity(); }
    void reserve(Index positions) {
      for (rotary_table<S>* each : {&near, &behind, &ahead, &far_keys}) each->reserve(positions);
    }
  };
  template <class S>
  using table_type = tables<real_of<S>>;

  Index window = 512;
  double step = 16;
  rope<Pairing> turn = {};  ///< what turns by these distances

  template <number S>
  table_type<S> table(Index key_width, Index positions) const {
    require(window > 0 && step > 0, "leaky_re_rope: window ", window, " and step ", step, "; needs both > 0");
    const auto near = turn.template table<S>(key_width, positions);
    const auto on = [&](double first) {
      return rotary_table<real_of<S>>(near.inverse_frequency(), positions, near.factor(), {}, 0, {first, 1 / step});
    };
    const double edge = static_cast<double>(window) * (1 - 1 / step);
    return {near, on(edge), on(-edge), on(0)};
  }

  /// Which part counts: rope has no far one.
  template <int Parts>
  columns_by_distance<Parts> columns(Index key_width) const {
    return {step == 1 ? std::numeric_limits<Index>::max() / 8 : window, key_width};
  }

  leaky_re_rope declared(Index length) const {
    leaky_re_rope r = *this;
    r.turn = turn.declared(length);
    return r;
  }

  template <number S>
  void rotate(view<S> x, Index heads, const table_type<S>& table, const sequences& rows, direction way, side of,
              int part) const {
    const bool queries = of == side::queries;
    const auto& by = part == 0 ? table.near : !queries ? table.far_keys : part == 1 ? table.behind : table.ahead;
    turn.rotate(x, heads, by, rows, way);
  }

  friend bool operator==(const leaky_re_rope&, const leaky_re_rope&) = default;
};
static_assert(position_policy<leaky_re_rope<>> && position_policy<leaky_re_rope<pairing::interleaved>>);

/// Rectified rope: no distance counts more than the window.
template <pairing Pairing = pairing::half>
leaky_re_rope<Pairing> re_rope(Index window, rope<Pairing> turn = {}) {
  return {window, std::numeric_limits<double>::infinity(), turn};
}

}  // namespace formwork
