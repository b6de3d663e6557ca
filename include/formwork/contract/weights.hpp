// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/module.hpp>
#include <formwork/contract/mask.hpp>
#include <formwork/core/pack.hpp>
#include <formwork/core/slot.hpp>

#include <concepts>
#include <type_traits>
#include <utility>

namespace formwork::inline FORMWORK_ABI {

/// What a row's weights come to once all its keys are seen.
template <number S>
struct finished_row {
  S factor;  ///< on the accumulated values
  S kept;    ///< the one number stored for the backward pass: softmax keeps the log-sum-exp
};

/// What the backward pass knows of a row.
template <number S>
struct saved_row {
  S kept;
  S sum;  ///< Σ weight · gradient over the row's keys
};

/// Where a row's weights sum to 1 the policy says so with `static constexpr bool sums_to_one = true;`: a backward that sums
/// them can take out the rounding of `kept`.
template <class W>
inline constexpr bool weights_sum_to_one = requires { requires W::sums_to_one; };

/// How scores become weights, a block of keys at a time.
///
/// Written for every `number` S, so that tangents go through it (kernel/attend_tangent.hpp); real numbers are enough for the rest.
///
///   score_unit                   scores are handed over times this: log₂e lets softmax use powers of two
///   row<S>, begin<S>(visible)    what a row carries from block to block; `visible` keys in all
///   step(row, scores, packs)     scores of the next keys -> weights in place, up to a factor of the whole row; returns the
///                                factor by which what came before must be multiplied. A masked score is -inf: weight 0
///   finish(row)                  see finished_row
///   weight(score, saved)         backward: the weight again, from its score
///   slope(score, weight, gradient, saved)   backward: the score's gradient from its weight's
///
/// Laws      blocks of any sizes give one result up to rounding; weight() agrees with step() and finish(); -inf gives 0;
///           slope matches central differences (tests/laws/weights_laws.hpp).
template <class W, class S>
concept weights_of =
    requires(const W& w, typename W::template row<S>& row, S* scores, Index count, pack<S> p, saved_row<S> saved) {
      { double{W::score_unit} };
      { w.template begin<S>(count) } -> std::same_as<typename W::template row<S>>;
      { w.step(row, scores, count) } -> std::same_as<S>;
      { w.finish(row) } -> std::same_as<finished_row<S>>;
      { w.weight(p, saved) } -> std::same_as<pack<S>>;
      { w.slope(p, p, p, saved) } -> std::same_as<pack<S>>;
    };

template <class W>
concept weights_policy =
    policy<W> && std::same_as<typename W::plugs_into, slot::weights> && weights_of<W, float> && weights_of<W, double>;

/// Weights that are multiplied by a factor by distance, after what they sum to was taken: `factors` is a by_distance<S>.
template <class W>
inline constexpr bool has_factors = requires(const W& w) { w.factors; };

/// A weights policy that multiplies the weights by a learned factor of their distance: a base, and
///
///   distance_factors(tape, heads, distances)   var (output heads × distances.size()), as a position's distance_biases
template <class W, class S>
concept learns_weights = policy<W> && std::same_as<typename W::plugs_into, slot::weights> &&
                         requires(const W& w, tape<S>& t, index_range distances) {
                           requires weights_policy<std::remove_cvref_t<decltype(w.base)>>;
                           { w.distance_factors(t, Index{}, distances) } -> std::same_as<var<S>>;
                         };

}  // namespace formwork
