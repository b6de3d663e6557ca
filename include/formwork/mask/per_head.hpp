// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/mask.hpp>
#include <formwork/core/sequences.hpp>

#include <tuple>

namespace formwork::inline FORMWORK_ABI {

/// Heads see different keys: with N masks the first heads / N heads go by the first one, the next by the second, and so on:
///
///   per_head<causal, anticausal>     half of the heads read forwards, half backwards; each half of the weights has full rank
///   per_head<sliding_window, full>   near and far heads
///
/// Units     head h of H goes by mask ⌊h N / H⌋.
/// Numerics  each head has the bits that attention by its mask alone would give it.
/// Cost      of each head that of its mask.
/// Source    kexue.fm/archives/9529 for heads that read forwards and backwards.
/// Differs   there is an incremental form only where no mask sees ahead. Heads that mix see the same keys.
template <mask_policy... Mask>
struct per_head {
  static_assert(sizeof...(Mask) > 0 && (!sees_by_head<Mask> && ...), "formwork: per_head needs masks, each for all of its heads");

  using plugs_into = slot::mask;
  static constexpr bool sees_ahead = (Mask::sees_ahead || ...);
  static constexpr bool one_range = (sees_one_range<Mask> && ...);
  static constexpr bool by_head = true;

  std::tuple<Mask...> masks = {};

  constexpr per_head() = default;
  constexpr per_head(const Mask&... mask)
    requires(sizeof...(Mask) > 0)
      : masks(mask...) {}

  constexpr key_spans spans(query_site query) const {
    return of(query, [&](const auto& mask) { return mask.spans(query); });
  }
  constexpr Index count(query_site query) const {
    return of(query, [&](const auto& mask) { return mask.count(query); });
  }
  constexpr bool visible(query_site query, Index key) const {
    return of(query, [&](const auto& mask) { return mask.visible(query, key); });
  }
  constexpr coverage over(query_site first, Index queries, index_range keys) const {
    return of(first, [&](const auto& mask) { return formwork::over(mask, first, queries, keys); });
  }
  void fits(const sequences& queries) const {
    std::apply([&](const auto&... mask) { (require_fit(mask, queries), ...); }, masks);
  }

 private:
  /// f of the mask by which the query's head goes.
  template <std::size_t I = 0>
  constexpr auto of(query_site query, const auto& f) const {
    constexpr Index count = sizeof...(Mask);
    if constexpr (I + 1 < sizeof...(Mask))
      if (query.head * count / query.heads != static_cast<Index>(I)) return of<I + 1>(query, f);
    return f(std::get<I>(masks));
  }
};

}  // namespace formwork
