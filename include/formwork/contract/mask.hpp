// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/pack.hpp>
#include <formwork/core/slot.hpp>

#include <algorithm>
#include <array>
#include <limits>

namespace formwork::inline FORMWORK_ABI {

class sequences;

/// first, ..., last - 1; empty where last <= first.
struct index_range {
  Index first = 0, last = 0;

  constexpr bool empty() const { return last <= first; }
  constexpr Index size() const { return std::max<Index>(last - first, 0); }
  constexpr bool holds(Index i) const { return first <= i && i < last; }
  constexpr index_range moved(Index by) const { return {first + by, last + by}; }
  constexpr index_range clipped(index_range to) const { return {std::max(first, to.first), std::min(last, to.last)}; }
  friend constexpr bool operator==(index_range, index_range) = default;
};

/// Where a query stands, as a mask needs to know it.
struct query_site {
  Index position = 0;  ///< absolute, 0-based; keys are numbered alike
  Index keys = 0;      ///< keys of its sequence, those of a cache included
  Index sequence = 0;  ///< of the batch
  Index head = 0, heads = 1;

  /// So many queries later.
  constexpr query_site after(Index queries) const { return {position + queries, keys, sequence, head, heads}; }
};

/// The keys a query sees: two ranges apart from each other and in order, either may be empty. Kernels clip them to the keys
/// there are.
using key_spans = std::array<index_range, 2>;

/// How much of a tile of queries × keys is visible.
enum class coverage { none, some, all };

/// A mask is geometry; no number is ever added to a score.
///
///   spans(query)          the keys it sees
///   count(query)          how many of them there are
///   visible(query, key)   the same for one key
///   sees_ahead            whether any query sees a later key; such a mask has no incremental form, unless it has
///
///   keys_at_once(sequence)   later keys are seen among this many first ones only: a state has to be given them in one call
///   one_range = true         the second span is always empty
///   by_head = true           heads see different keys; without it masks are asked once for all heads
///   fits(queries)            throws where the mask was made for another batch; called once a call
///
/// Laws      spans, count and visible agree; spans lie within the sequence's keys; without sees_ahead no span passes the
///           query's position, with keys_at_once none that stands behind those keys (tests/laws/mask_laws.hpp).
template <class M>
concept mask_policy = policy<M> && std::same_as<typename M::plugs_into, slot::mask> &&
                      requires(const M& m, query_site query, Index key) {
                        { m.spans(query) } -> std::same_as<key_spans>;
                        { m.count(query) } -> std::same_as<Index>;
                        { m.visible(query, key) } -> std::same_as<bool>;
                        { bool{M::sees_ahead} };
                      };

template <class M>
inline constexpr bool sees_by_head = requires { requires M::by_head; };

template <class M>
concept sees_one_range = requires { requires M::one_range; };

/// Whether a state can be fed by calls, one after another.
template <class M>
concept incremental_mask = mask_policy<M> && (!M::sees_ahead || requires(const M& m) {
                             { m.keys_at_once(Index{}) } -> std::same_as<Index>;
                           });

/// Calls fits() of a mask that has it.
template <mask_policy M>
void require_fit(const M& mask, const sequences& queries) {
  if constexpr (requires { mask.fits(queries); }) mask.fits(queries);
}

/// How much of the keys is visible to `queries` consecutive queries, the first of which is given. A mask may have a quicker
/// member of the same name and meaning.
template <mask_policy M>
coverage over(const M& mask, query_site first, Index queries, index_range keys) {
  if constexpr (requires { { mask.over(first, queries, keys) } -> std::same_as<coverage>; }) {
    return mask.over(first, queries, keys);
  } else {
    Index seen = 0;
    for (Index i = 0; i < queries; ++i)
      for (const index_range span : mask.spans(first.after(i)))
        seen += span.clipped(keys).size();
    return seen == 0 ? coverage::none : seen < queries * keys.size() ? coverage::some : coverage::all;
  }
}

}  // namespace formwork
