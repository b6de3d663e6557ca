// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/mask.hpp>
#include <formwork/contract/module.hpp>
#include <formwork/core/dual.hpp>
#include <formwork/core/matrix.hpp>
#include <formwork/core/pack.hpp>
#include <formwork/core/slot.hpp>

#include <concepts>

namespace formwork::inline FORMWORK_ABI {

/// Where a pack of scores stands: neighbouring lanes are one query's scores of neighbouring keys.
template <class T>
struct score_site {
  T distance;      ///< the query's position minus each lane's key's
  Index position;  ///< of the query
  Index key;       ///< of the first lane
  Index head;
  Index heads;
  const T* learned = nullptr;  ///< the numbers that the formula learns, of this head
};

template <class P, class T>
concept score_formula = requires(const P& p, T score, score_site<T> at) {
  { p(score, at) } -> std::same_as<T>;
};

/// A formula between a score, as q · k · scale gives it, and the weights: written once, `template <class T> T operator()(T
/// score, score_site<T> at) const`. The kernel calls it with packs, and with duals of packs for its slope.
///
/// Where its numbers depend on the head, at_head(head, heads) gives the formula of one head: kernels call it once for many packs.
///
/// Laws      body and tail of a row get the same bits; the slope matches central differences (tests/laws/score_laws.hpp).
template <class P>
concept score_policy = policy<P> && std::same_as<typename P::plugs_into, slot::score> && score_formula<P, pack<float>> &&
                       score_formula<P, pack<double>> && score_formula<P, pack<float, 1>> &&
                       score_formula<P, dual<pack<float>>> && score_formula<P, dual<pack<double>>>;

/// A formula that leaves every score as it is says so with `static constexpr bool unchanged = true;` and costs nothing.
template <score_policy P>
inline constexpr bool leaves_scores = requires { requires P::unchanged; };

/// How many numbers of each head a formula learns: it reads them as at.learned[0], ...
template <class P>
inline constexpr int numbers_learned = 0;
template <class P>
  requires requires { int{P::learned}; }
inline constexpr int numbers_learned<P> = P::learned;

/// A score policy that learns owns a formula and the parameters that at.learned[i] comes from (score/learned_formula.hpp makes
/// one of any formula):
///
///   learned                 how many numbers of each head
///   formula                 reads them; constants of its own stay values
///   numbers(tape, heads)    var (heads × learned), an op on the tape: what each head's formula is given
///
/// Laws      gradcheck; bits of the gradients do not depend on the number of threads (tests/score/learned_formula_test.cpp).
template <class P, class S>
concept learns_numbers = policy<P> && std::same_as<typename P::plugs_into, slot::score> &&
                         requires(const P& p, tape<S>& t) {
                           p.formula;
                           { p.numbers(t, Index{}) } -> std::same_as<var<S>>;
                         } && (numbers_learned<P> > 0);

/// A number for every head and every distance key - query of a range, as kernels read it.
template <number S>
struct by_distance {
  view<const S> numbers;  ///< (heads × distances)
  Index first = 0;        ///< the distance of the first column

  index_range distances() const { return {first, first + numbers.cols()}; }
  /// That of distance d is at [d].
  const S* of(Index head) const { return numbers.row(head) - first; }
};

/// Numbers that are constants to a formula, one a lane.
template <class T>
FORMWORK_INLINE T constant_lanes(const auto* numbers) {
  if constexpr (slope_count<T> > 0)
    return T(constant_lanes<decltype(T::value)>(numbers));
  else
    return T::load(numbers);
}

/// A formula whose scores get a bias by distance on top: `biases` is a by_distance<S>.
template <class P>
inline constexpr bool has_biases = requires(const P& p) { p.biases; };

/// The formula, or the bias, of one head.
template <class P>
decltype(auto) at_head(const P& policy, Index head, Index heads) {
  if constexpr (requires { policy.at_head(head, heads); })
    return policy.at_head(head, heads);
  else
    return (policy);
}

}  // namespace formwork
