// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/module.hpp>
#include <formwork/core/pack.hpp>
#include <formwork/core/slot.hpp>

#include <concepts>
#include <type_traits>
#include <utility>

namespace formwork::inline FORMWORK_ABI {

/// What the scale of a query row may depend on.
struct scale_site {
  Index visible_keys = 0;  ///< that this row sees, not the length of the sequence
  Index key_width = 1;     ///< of one head
  Index position = 0;      ///< of the query
};

/// The factor on a query's scores, folded into the query: p(site), formed in double.
///
/// Cost      called once per query row, for all heads.
/// Laws      finite and >= 0 at every site (tests/laws/scale_laws.hpp).
template <class P>
concept scale_policy = policy<P> && std::same_as<typename P::plugs_into, slot::scale> && requires(const P& p, scale_site at) {
  { p(at) } -> std::convertible_to<double>;
};

/// Whether the vectors of heads keep their length.
enum class lengths { kept, unit };

/// A scale policy may say `static constexpr lengths query_lengths = lengths::unit;` and key_lengths: attention divides each
/// head's queries or keys by their length, before they are turned.
template <class P>
inline constexpr lengths query_lengths_of = lengths::kept;
template <class P>
  requires requires { lengths{P::query_lengths}; }
inline constexpr lengths query_lengths_of<P> = P::query_lengths;
template <class P>
inline constexpr lengths key_lengths_of = lengths::kept;
template <class P>
  requires requires { lengths{P::key_lengths}; }
inline constexpr lengths key_lengths_of<P> = P::key_lengths;

/// A scale policy that learns has a base and a factor for every query head on top, an op on the tape:
///
///   base                 the scale policy without what is learned
///   factors(tape)        var (1 × query heads)
template <class P, class S>
concept learns_factors = scale_policy<P> && requires(const P& p, tape<S>& t) {
  requires scale_policy<std::remove_cvref_t<decltype(p.base)>>;
  { p.factors(t) } -> std::same_as<var<S>>;
};

/// What the kernel is given of a scale policy.
template <scale_policy P>
auto scale_in_kernel(const P& scale) {
  if constexpr (requires { requires scale_policy<std::remove_cvref_t<decltype(scale.base)>>; })
    return scale.base;
  else
    return scale;
}
template <scale_policy P>
using kernel_scale = decltype(scale_in_kernel(std::declval<const P&>()));

}  // namespace formwork
