// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/abi.hpp>

#include <concepts>
#include <cstddef>
#include <tuple>
#include <type_traits>
#include <utility>

namespace formwork::inline FORMWORK_ABI {

/// The places of a mechanism that a policy can plug into. A policy names its own: `using plugs_into = slot::mask;`.
namespace slot {
struct mask;
struct position;
struct scale;
struct score;
struct heads;
struct weights;
struct observer;
struct feature;
struct norm;
struct residual;
struct activation;
struct mixer;
struct cross_mixer;
struct basis;
struct discretisation;
struct modes;
struct step;
struct feedforward;
struct dropout;
}  // namespace slot

/// A policy: a small copyable value that names its slot.
template <class P>
concept policy = std::copyable<P> && requires { typename P::plugs_into; };

/// How many of the policies plug into Slot.
template <class Slot, class... P>
inline constexpr std::size_t policies_for = (std::size_t(std::same_as<typename P::plugs_into, Slot>) + ... + 0);

/// Whether every policy plugs into one of the slots.
template <class P, class... Slot>
inline constexpr bool fits_one_of = (std::same_as<typename P::plugs_into, Slot> || ...);

/// Whether a policy that owns parameters, a template on its scalar, has this one.
template <class P, class S>
inline constexpr bool fits_scalar = true;
template <class P, class S>
  requires requires { typename P::scalar; }
inline constexpr bool fits_scalar<P, S> = std::same_as<typename P::scalar, S>;

template <class Slot, class Default, class... P>
struct first_for : std::type_identity<Default> {};
template <class Slot, class Default, class P, class... Rest>
struct first_for<Slot, Default, P, Rest...>
    : std::conditional_t<std::same_as<typename P::plugs_into, Slot>, std::type_identity<P>, first_for<Slot, Default, Rest...>> {};

/// The one policy of an order-free list that plugs into Slot, or Default.
template <class Slot, class Default, class... P>
struct pick {
  static_assert(policies_for<Slot, P...> <= 1, "formwork: this slot was given twice; remove one of the policies");
  using type = typename first_for<Slot, Default, P...>::type;
};
template <class Slot, class Default, class... P>
using pick_t = typename pick<Slot, Default, P...>::type;

/// All policies of the list that plug into Slot, in their order.
template <class Slot, class... P>
using all_for = decltype(std::tuple_cat(
    std::declval<std::conditional_t<std::same_as<typename P::plugs_into, Slot>, std::tuple<P>, std::tuple<>>>()...));

/// A run-time value given to make(): assigned to the one target of exactly its type.
template <class Value, class... Target>
constexpr void assign_value(const Value& value, Target&... target) {
  (
      [&] {
        if constexpr (std::same_as<Value, Target>) target = value;
      }(),
      ...);
}

/// A module whose policies can be given values lists them: `template <class M> static auto slots(M& m) { return
/// std::tie(m.mask, m.scale); }`.
template <class T>
concept has_slots = requires(T& t) { std::remove_cv_t<T>::slots(t); };

/// Values for the slots of one module; those that fill none of them are for others.
template <has_slots T, class... Value>
constexpr void fill_slots(T& module, const Value&... value) {
  std::apply([&](auto&... slot) { (assign_value(value, slot...), ...); }, std::remove_cv_t<T>::slots(module));
}

}  // namespace formwork
