// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/module.hpp>
#include <formwork/contract/observer.hpp>
#include <formwork/core/error.hpp>
#include <formwork/tape/fields.hpp>

#include <cxxabi.h>

#include <concepts>
#include <cstdlib>
#include <string>
#include <string_view>
#include <type_traits>
#include <typeinfo>
#include <vector>

namespace formwork::inline FORMWORK_ABI {

/// A type as its user wrote it, but with aliases and defaults spelled out: "block<float, pre_norm<rms_norm>, mlp<float, gelu>>".
///
/// Differs   from the demangled name, which every compiler forms alike: no namespaces of ours, no anonymous ones, one way to
///           set spaces.
template <class T>
std::string type_text() {
  std::string s = typeid(T).name();
  int status = 0;
  if (char* demangled = abi::__cxa_demangle(s.c_str(), nullptr, nullptr, &status)) {
    s = demangled;
    std::free(demangled);
  }
  const std::string tag = text(abi_tag, "::");
  for (const std::string_view noise : {std::string_view("formwork::"), std::string_view(tag),
                                       std::string_view("(anonymous namespace)::"), std::string_view(" ")})
    for (std::size_t at = 0; (at = s.find(noise, at)) != std::string::npos;) s.erase(at, noise.size());
  for (std::size_t at = 0; (at = s.find(',', at)) != std::string::npos;) s.insert(++at, " ");
  return s;
}

/// A model that knows its sizes.
template <class M>
concept has_sizes = requires(const M& m) {
  { m.sizes } -> std::convertible_to<const sizes&>;
};

/// Takes the observers of a module and its members, which change nothing that it computes, out of a type's text.
template <class M>
void erase_observers(std::string& types, const M& module) {
  const auto erase = [&](const std::string& item) {
    for (std::size_t at = 0; (at = types.find(item, at)) != std::string::npos;)
      if (const char next = types[at + item.size()]; next == ',' || next == '>')
        types.erase(at, item.size());
      else
        at += item.size();
  };
  const auto erase_if_observer = [&]<class P>(std::type_identity<P>) {
    if constexpr (observer_policy<P>) erase(", " + type_text<P>());
  };
  [&]<class... P>(policy_list<P...>) { (erase_if_observer(std::type_identity<P>()), ...); }(policies_of_t<M>());
  if constexpr (!is_parameter<M>::value) for_each_member(module, [&](const auto& member) { erase_observers(types, member); });
}

/// What a model is: its type, observers apart, and where it has any, its sizes with derived ones filled in. Two models of one
/// composition differ only in their numbers.
template <class Model>
std::string composition_of(const Model& model) {
  std::string r = type_text<Model>();
  if constexpr (has_fields<const Model>) erase_observers(r, model);
  if constexpr (has_sizes<Model>) {
    const sizes& s = model.sizes;
    const Index each = s.heads > 0 ? s.width / s.heads : 0;
    r += text(" {vocab ", s.vocab, ", width ", s.width, ", depth ", s.depth, ", heads ", s.heads, ", key_heads ",
              s.key_heads > 0 ? s.key_heads : s.heads, ", key_width ", s.key_width > 0 ? s.key_width : each,
              ", head_width ", s.head_width > 0 ? s.head_width : each, ", bias ",
              s.bias == biases::all ? "all" : "none", ", head ", s.head == tying::tied ? "tied" : "own");
    const auto add_pattern = [&](const char* name, const std::vector<int>& pattern) {
      for (std::size_t i = 0; i < pattern.size(); ++i) r += (i == 0 ? name : " ") + std::to_string(pattern[i]);
    };
    add_pattern(", pattern ", s.pattern);
    if (s.source_vocab > 0) r += text(", source_vocab ", s.source_vocab);
    if (s.decoder_depth > 0) r += text(", decoder_depth ", s.decoder_depth);
    add_pattern(", decoder_pattern ", s.decoder_pattern);
    r += "}";
  }
  return r;
}

/// The first item of two compositions that differs, by name: "it has layer_norm where this model has rms_norm".
inline std::string composition_difference(std::string_view theirs, std::string_view ours) {
  constexpr std::string_view between = ",<>{}";
  std::size_t differ = 0;
  while (differ < theirs.size() && differ < ours.size() && theirs[differ] == ours[differ]) ++differ;
  std::size_t at = differ;
  while (at > 0 && between.find(ours[at - 1]) == std::string_view::npos) --at;
  const auto item = [&](std::string_view all) {
    const std::size_t first = all.find_first_not_of(",<>{} ", at);
    return first == std::string_view::npos ? std::string_view("nothing more")
                                           : all.substr(first, all.find_first_of(between, first) - first);
  };
  if (item(theirs) == item(ours)) at = differ;  // one list is longer
  return text("it has ", item(theirs), " where this model has ", item(ours));
}

}  // namespace formwork
