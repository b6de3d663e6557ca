// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/module.hpp>
#include <formwork/tape/fields.hpp>

#include <tuple>
#include <type_traits>

namespace formwork::inline FORMWORK_ABI {

/// Whether a module, or one inside it, has a slot of exactly that type; a policy that owns parameters is not just a value.
template <class Value, class T>
constexpr bool has_slot() {
  using module = std::remove_cv_t<T>;
  constexpr auto among = []<class... Slot>(std::type_identity<std::tuple<Slot&...>>) {
    return (std::same_as<Slot, Value> || ...) && !has_fields<Value>;
  };
  constexpr auto inside = []<template <class...> class Several, class... M>(std::type_identity<Several<M...>>) {
    return (has_slot<Value, M>() || ...);
  };
  bool own = false;
  if constexpr (has_slots<module>) own = among(std::type_identity<decltype(module::slots(std::declval<module&>()))>());
  if constexpr (is_parameter<module>::value)
    return false;
  else if constexpr (has_fields<module>)
    return own || inside(std::type_identity<decltype(module::fields(std::declval<module&>()))>());
  else if constexpr (range_of_modules<module>)
    return has_slot<Value, std::remove_reference_t<decltype(*std::declval<module&>().begin())>>();
  else
    return inside(std::type_identity<module>());  // a variant, a tuple, a field
}

template <class Value, class T>
void assign_inside(T& module, const Value& value) {
  if constexpr (has_slot<Value, T>()) {
    if constexpr (has_slots<T>) fill_slots(module, value);
    for_each_member(module, [&](auto& member) { assign_inside(member, value); });
  } else {
    static_assert(!lists<policies_of_t<std::remove_cv_t<T>>, Value>,
                  "formwork: a module lists a policy that its slots() leaves out, so assign() cannot reach it");
  }
}

/// Gives a made, perhaps trained, module another value in every slot of the value's type:
///
///   assign(model, rope{.inverse_frequencies = {.formula = ntk_fixed, .extension = 8}});
///
/// What was computed before keeps the old value: recordings, and the keys of a state until turn_again.
template <class T, class Value>
void assign(T& module, const Value& value) {
  static_assert(has_slot<Value, T>(),
                "formwork: assign() was given a value that fills no slot of this module; add its policy to the type, or give "
                "the value to make()");
  assign_inside(module, value);
}

}  // namespace formwork
