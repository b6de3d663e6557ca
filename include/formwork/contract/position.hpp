// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/heads.hpp>
#include <formwork/contract/mask.hpp>
#include <formwork/contract/module.hpp>
#include <formwork/contract/score.hpp>
#include <formwork/core/matrix.hpp>
#include <formwork/core/sequences.hpp>
#include <formwork/core/slot.hpp>

#include <concepts>
#include <limits>

namespace formwork::inline FORMWORK_ABI {

/// The inverse transformation is the gradient's: rotations are orthogonal.
enum class direction {
  forward,  ///< by the row's position
  backward  ///< by minus the row's position
};

template <class P, class S>
concept rotates_alike = requires(const P& p, const typename P::template table_type<S>& table, view<S> x, const sequences& rows) {
  p.rotate(x, Index{}, table, rows, direction::forward);
};
template <class P, class S>
concept rotates_by_side = requires(const P& p, const typename P::template table_type<S>& table, view<S> x, const sequences& rows) {
  p.rotate(x, Index{}, table, rows, direction::forward, side::queries);
};
template <class P, class S>
concept rotates_in_parts = requires(const P& p, const typename P::template table_type<S>& table, view<S> x, const sequences& rows) {
  p.rotate(x, Index{}, table, rows, direction::forward, side::queries, int{});
  p.template columns<2>(Index{});
};

/// Turns the rows of queries and keys by their positions, in place, so that scores depend on distances only.
///
///   p.template table<S>(key_width, positions)     what rotate reads: made once, grown by table.reserve(positions)
///   p.rotate(x, heads, table, rows, way)          x (tokens × heads · key_width); with one more argument, a side, where queries
///                                                 and keys are turned in different ways; with two, a side and a part, where
///                                                 the distance of a pair decides between ways
///   p.template columns<Parts>(key_width)          for parts: a columns_by_distance<Parts>, which part counts for a pair
///
/// Laws      a row alone has the bits of the same row in a batch; backward is the gradient of forward, and undoes it where both
///           sides turn alike; bits do not depend on how far the table reaches (tests/laws/position_laws.hpp).
template <class P, class S>
concept rotates = (rotates_alike<P, S> || rotates_by_side<P, S> || rotates_in_parts<P, S>)&&requires(
    const P& p, typename P::template table_type<S>& table) {
  { p.template table<S>(Index{}, Index{}) } -> std::same_as<typename P::template table_type<S>>;
  { std::as_const(table).capacity() } -> std::same_as<Index>;
  table.reserve(Index{});
};

/// p.rotate, whether or not it asks for the side and the part.
template <class S, class P>
void rotate_side(const P& p, view<S> x, Index heads, const typename P::template table_type<S>& table, const sequences& rows,
                 direction way, side of, [[maybe_unused]] int part = 0) {
  if constexpr (rotates_in_parts<P, S>)
    p.rotate(x, heads, table, rows, way, of, part);
  else if constexpr (rotates_by_side<P, S>)
    p.rotate(x, heads, table, rows, way, of);
  else
    p.rotate(x, heads, table, rows, way);
}

/// A policy that is only right where no later key is seen says so with `static constexpr bool causal_only = true;`.
template <class P>
concept causal_position = requires { requires P::causal_only; };

template <class P>
concept rotary_position = rotates<P, float> && rotates<P, double> && std::equality_comparable<P>;

/// A rotary policy whose table depends on how long sequences are declared to be (sequences::declare, state_sizes::length):
///
///   p.declared(length)                            the policy with the table of that length
template <class P>
concept depends_on_length = requires(const P& p) {
  { p.declared(Index{}) } -> std::same_as<P>;
};

/// Every column of a head's queries and keys counts in their score.
struct all_columns {
  static constexpr int parts = 1;
};

/// A head's queries and keys lie side by side as turned in several ways. A score comes from the columns of one part, by the
/// distance of its pair: part 0 below the window, else part 1 for earlier keys and part 2 for later ones.
template <int Parts>
struct columns_by_distance {
  static constexpr int parts = Parts;

  Index window = 1;
  Index key_width = 1;  ///< of a head's queries and keys; parts are filled to whole packs

  /// The keys that a query at this position meets by that part.
  constexpr index_range keys(int part, Index position) const {
    constexpr Index far = std::numeric_limits<Index>::max() / 4;
    const index_range near{position - window + 1, position + window};
    return part == 0 ? near : part == 1 ? index_range{-far, near.first} : index_range{near.last, far};
  }
};

/// Adds to the vector of each token that of its place: row r of sequence s stands at x.batch().start(s) + r.
///
///   p.embed(x)                                    x, y (tokens × width)
///
/// Laws      a row alone has the bits of the same row in a batch; gradcheck (tests/laws/position_laws.hpp).
template <class P, class S>
concept embeds = requires(const P& p, const var<S>& x) {
  { p.embed(x) } -> std::same_as<var<S>>;
};

template <class P>
concept absolute_position = embeds<P, float> || embeds<P, double> || requires { requires embeds<P, typename P::scalar>; };

/// Adds to every score what the places of its query and key say:
///
///   p.bias(at)                                    T, for any number type of a score_site<T>
///   p.at_head(head, heads)                        optional: what has the bias() of one head (contract/score.hpp)
///
/// Laws      those of a score formula, which it becomes part of (attention/biased_scores.hpp, tests/laws/score_laws.hpp).
template <class P, class T>
concept biases_score = requires(const P& p, score_site<T> at) {
  { p.bias(at) } -> std::same_as<T>;
};
template <class P>
concept biased_position = biases_score<P, pack<float>> && biases_score<P, pack<double>> && biases_score<P, dual<pack<float>>> &&
                          biases_score<P, dual<pack<double>>>;

/// Adds to every score a number for the distance key - query, learned or not:
///
///   p.distance_biases(tape, heads, distances)     var (heads × distances.size()), an op on the tape; column c is for the
///                                                 distance distances.first + c
///
/// Laws      a number depends on its head and distance, not on the range asked for; gradcheck (tests/laws/position_laws.hpp).
template <class P, class S>
concept biases_distances = requires(const P& p, tape<S>& t, index_range distances) {
  { p.distance_biases(t, Index{}, distances) } -> std::same_as<var<S>>;
};

template <class P>
concept distance_position =
    biases_distances<P, float> || biases_distances<P, double> || requires { requires biases_distances<P, typename P::scalar>; };

/// Adds to every key and to every value a vector of its distance from the query:
///
///   p.longest                                     distances beyond it count as it, on either side
///   p.key_vectors(tape, distances)                var (distances.size() × key_width), an op on the tape; row r is for the
///   p.value_vectors(tape, distances)              distance distances.first + r; values' are as wide as a head
///
/// Laws      gradcheck; probe: equal tokens get different outputs (tests/position/shaw_test.cpp).
template <class P, class S>
concept relates_vectors = requires(const P& p, tape<S>& t, index_range distances) {
  { p.longest } -> std::convertible_to<Index>;
  { p.key_vectors(t, distances) } -> std::same_as<var<S>>;
  { p.value_vectors(t, distances) } -> std::same_as<var<S>>;
};

template <class P>
concept relative_position =
    relates_vectors<P, float> || relates_vectors<P, double> || requires { requires relates_vectors<P, typename P::scalar>; };

/// Tokens have no place: the default of attention and of models.
struct no_position {
  using plugs_into = slot::position;
  friend bool operator==(const no_position&, const no_position&) = default;
};

/// A position policy implements one or several hooks, found by `requires`; a hook is taken from one policy at most, and one
/// that no policy implements costs nothing.
///
///   rotate      queries and keys are turned before their product: `rotary_position`, given to attention. Such policies
///               compare, so that a table is made again when a value has changed.
///   distance_biases   a number for its distance is added to each score, after its formula: `distance_position`, given to
///               attention; numbers may be learned
///   bias        the same by a formula of all a site has: `biased_position`, given to attention
///   key_vectors, value_vectors   vectors of their distance are added to keys and values: `relative_position`, given to attention
///   embed       a vector is added to each token's: `absolute_position`, given to the model
template <class P>
concept position_policy = policy<P> && std::same_as<typename P::plugs_into, slot::position> &&
                          (rotary_position<P> || biased_position<P> || distance_position<P> || relative_position<P> ||
                           absolute_position<P> || std::same_as<P, no_position>);
static_assert(position_policy<no_position>);

}  // namespace formwork
