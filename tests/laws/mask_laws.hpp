// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/mask.hpp>

#include "support/catch.hpp"

/// What every mask promises (contract/mask.hpp).
namespace laws {

namespace fw = formwork;
using fw::Index;

/// A mask without its own over(): the derived one.
template <class Mask>
struct only_spans {
  using plugs_into = fw::slot::mask;
  static constexpr bool sees_ahead = Mask::sees_ahead;
  Mask mask;
  fw::key_spans spans(fw::query_site at) const { return mask.spans(at); }
  Index count(fw::query_site at) const { return mask.count(at); }
  bool visible(fw::query_site at, Index key) const { return mask.visible(at, key); }
};

/// How many of the first keys are seen from before them.
template <class Mask>
Index seen_ahead(const Mask& mask) {
  if constexpr (requires { mask.keys_at_once(0); })
    return mask.keys_at_once(0);
  else
    return 0;
}

/// spans, count and visible agree; spans are in order, apart, within the keys; none passes the query unless it may.
template <class Mask>
void spans_agree(const Mask& mask) {
  for (const Index keys : {0, 1, 2, 9, 40})
    for (Index position = 0; position < keys; ++position) {
      const fw::query_site at{position, keys, 0};
      CAPTURE(position, keys);
      const fw::key_spans spans = mask.spans(at);
      Index seen = 0;
      for (Index key = 0; key < keys; ++key) {
        REQUIRE(mask.visible(at, key) == (spans[0].holds(key) || spans[1].holds(key)));
        seen += mask.visible(at, key);
        if (fw::incremental_mask<Mask> && key > position && key >= seen_ahead(mask)) REQUIRE_FALSE(mask.visible(at, key));
      }
      REQUIRE(mask.count(at) == seen);
      REQUIRE(spans[0].size() + spans[1].size() == seen);
      if (fw::sees_one_range<Mask>) REQUIRE(spans[1].empty());
      if (!spans[0].empty() && !spans[1].empty()) REQUIRE(spans[0].last <= spans[1].first);
    }
}

/// A mask with an incremental form shows a query the same keys whether they are the last ones or not.
template <class Mask>
void later_keys_change_nothing(const Mask& mask) {
  if constexpr (fw::incremental_mask<Mask>)
    for (Index position = 0; position < 30; ++position) {
      const Index least = std::max(position + 1, seen_ahead(mask));
      for (Index keys = least; keys < 40; ++keys) {
        CAPTURE(position, keys);
        for (Index key = 0; key < keys; ++key)
          REQUIRE(mask.visible({position, keys, 0}, key) == mask.visible({position, least, 0}, key));
        REQUIRE(mask.count({position, keys, 0}) == mask.count({position, least, 0}));
      }
    }
}

/// over(), derived or its own, says of every tile what its elements say.
template <class Mask>
void tiles_agree(const Mask& mask) {
  const auto check = [](const auto& m) {
    constexpr Index keys = 24;
    for (Index position = 0; position < keys; ++position)
      for (const Index queries : {1, 3, 8})
        for (Index first = 0; first < keys && position + queries <= keys; ++first)
          for (const Index last : {first + 1, first + 5, keys}) {
            if (last > keys) continue;
            Index seen = 0;
            for (Index i = 0; i < queries; ++i)
              for (Index key = first; key < last; ++key) seen += m.visible({position + i, keys, 0}, key);
            CAPTURE(position, queries, first, last);
            const auto expected = seen == 0                          ? fw::coverage::none
                                  : seen == queries * (last - first) ? fw::coverage::all
                                                                     : fw::coverage::some;
            REQUIRE(fw::over(m, {position, keys, 0}, queries, {first, last}) == expected);
          }
  };
  check(mask);
  check(only_spans<Mask>{mask});
}

template <class Mask>
void mask_laws(const Mask& mask) {
  spans_agree(mask);
  later_keys_change_nothing(mask);
  tiles_agree(mask);
}

}  // namespace laws
