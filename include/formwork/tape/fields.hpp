// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/tape/parameter.hpp>

#include <concepts>
#include <cstddef>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

namespace formwork::inline FORMWORK_ABI {

/// A named member of a module.
template <class T>
struct field {
  std::string_view name;
  T& value;
};

/// The members of a module, listed once and used by every walk (optimizers, checkpoints, counting, printing):
///
///   template <class M> static auto fields(M& m) { return fw::fields("up", m.up, "down", m.down); }
inline std::tuple<> fields() { return {}; }
template <class T, class... Rest>
auto fields(const char* name, T& value, Rest&&... rest) {
  return std::tuple_cat(std::tuple(field<T>{name, value}), fields(std::forward<Rest>(rest)...));
}

/// A policy is a field where it owns parameters.
template <class P>
auto policy_field(const char* name, P& policy) {
  if constexpr (requires { std::remove_cv_t<P>::fields(policy); })
    return fields(name, policy);
  else
    return fields();
}

template <class T>
struct is_parameter : std::false_type {};
template <number S>
struct is_parameter<parameter<S>> : std::true_type {};

/// A module lists its members.
template <class T>
concept has_fields = requires(T& t) { std::remove_cv_t<T>::fields(t); };

template <class T>
concept range_of_modules = requires(T& t) {
  t.begin() != t.end();
  t.size();
};

template <class T>
concept either_module = requires(const T& t) { t.valueless_by_exception(); };

/// Calls f(member) for what a module directly consists of.
template <class T, class F>
void for_each_member(T& t, F&& f) {
  using module_type = std::remove_cv_t<T>;
  if constexpr (has_fields<T>) {
    std::apply([&](auto... member) { (f(member.value), ...); }, module_type::fields(t));
  } else if constexpr (either_module<T>) {
    std::visit(f, t);
  } else if constexpr (range_of_modules<T>) {
    for (auto& m : t) f(m);
  } else if constexpr (requires { std::tuple_size<module_type>::value; }) {
    std::apply([&](auto&... m) { (f(m), ...); }, t);
  } else {
    static_assert(sizeof(T) == 0,
                  "formwork: a field is neither a parameter, nor a module with fields(), nor a range of them; "
                  "list only members that own parameters");
  }
}

/// Calls f(parameter) for every parameter of a module, in the order of fields().
template <class T, class F>
void for_each_parameter(T& t, F&& f) {
  if constexpr (is_parameter<std::remove_cv_t<T>>::value) {
    if (t) f(t);
  } else {
    for_each_member(t, [&](auto& member) { for_each_parameter(member, f); });
  }
}

/// The same with the path of each parameter: "layers.0.mixer.query.weight".
template <class T, class F>
void for_each_named_parameter(T& t, F&& f, const std::string& path = "") {
  using module_type = std::remove_cv_t<T>;
  const auto below = [&](std::string_view name) { return path.empty() ? std::string(name) : path + "." + std::string(name); };
  if constexpr (is_parameter<module_type>::value) {
    if (t) f(path, t);
  } else if constexpr (has_fields<T>) {
    std::apply([&](auto... member) { (for_each_named_parameter(member.value, f, below(member.name)), ...); },
               module_type::fields(t));
  } else if constexpr (either_module<T>) {
    std::visit([&](auto& m) { for_each_named_parameter(m, f, path); }, t);
  } else if constexpr (range_of_modules<T>) {
    std::size_t i = 0;
    for (auto& m : t) for_each_named_parameter(m, f, below(std::to_string(i++)));
  } else {
    std::size_t i = 0;
    std::apply([&](auto&... m) { (for_each_named_parameter(m, f, below(std::to_string(i++))), ...); }, t);
  }
}

/// f(parameter...) with the fields of a policy, all of them parameters; f() for a policy without any.
template <class T, class F>
decltype(auto) with_parameters(T& policy, F&& f) {
  if constexpr (has_fields<T>)
    return std::apply([&](auto... member) -> decltype(auto) { return f(member.value...); },
                      std::remove_cv_t<T>::fields(policy));
  else
    return f();
}

/// How many numbers a module learns.
template <class T>
Index parameter_count(const T& module) {
  Index total = 0;
  for_each_parameter(module, [&](const auto& p) { total += p.size(); });
  return total;
}

/// Stops (and resumes) the learning of a module or a single parameter.
template <class T>
void freeze(T& module) {
  for_each_parameter(module, [](auto& p) { p.freeze(); });
}
template <class T>
void unfreeze(T& module) {
  for_each_parameter(module, [](auto& p) { p.unfreeze(); });
}

}  // namespace formwork
