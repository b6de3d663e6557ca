// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/mixer.hpp>
#include <formwork/contract/module.hpp>
#include <formwork/core/error.hpp>
#include <formwork/layer/builder.hpp>
#include <formwork/tape/checkpoint.hpp>
#include <formwork/tape/fields.hpp>

#include <concepts>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace formwork::inline FORMWORK_ABI {

/// Whether a stack keeps what its layers record, or only their inputs and computes the rest again in the backward pass.
enum class recompute { none, each_layer };

/// Layers one after another, of one kind or of several in an order given at run time: sizes{.depth = 3, .pattern = {0, 0, 1}}.
///
/// Throws    argument_error for a pattern whose length is not the depth or that names a kind which is not there.
template <number S, class... Layer>
struct stack {
  static_assert(sizeof...(Layer) > 0, "formwork: stack needs at least one kind of layer");
  using scalar = S;
  using kind = std::variant<Layer...>;
  template <class L>
  struct state_of {
    typename L::state inner;
  };
  using kind_state = std::variant<state_of<Layer>...>;
  using state = std::vector<kind_state>;
  using policies = join_lists<policies_of_t<Layer>...>;

  std::vector<kind> layers;
  recompute memory = recompute::none;

  template <class... Value>
  static stack make(const builder& b, const Value&... value) {
    const auto& pattern = b.sizes.pattern;
    require(b.sizes.depth >= 0, "stack: depth is ", b.sizes.depth, "; needs >= 0");
    require(pattern.empty() || static_cast<Index>(pattern.size()) == b.sizes.depth, "stack: the pattern names ",
            pattern.size(), " layers but depth is ", b.sizes.depth, "; needs one kind a layer");
    stack r;
    r.layers.reserve(static_cast<std::size_t>(b.sizes.depth));
    for (Index i = 0; i < b.sizes.depth; ++i) {
      builder here = b;
      here.site.depth = b.sizes.depth, here.site.layer = i;
      r.layers.push_back(make_kind<0>(pattern.empty() ? 0 : pattern[static_cast<std::size_t>(i)], here, value...));
    }
    return r;
  }

  /// Layers that look at another text are given its rows as well.
  template <std::same_as<var<S>>... Other>
  var<S> operator()(var<S> x, const Other&... other) const {
    for (const kind& one : layers)
      x = std::visit(
          [&](const auto& member) {
            if (memory == recompute::none) return member(x, other...);
            return checkpoint(x, [&member, other...](const var<S>& u) { return member(u, other...); });
          },
          one);
    return x;
  }
  var<S> operator()(var<S> x, state& st) const {
    require_state(st);
    for (std::size_t i = 0; i < layers.size(); ++i)
      x = std::visit(
          [&](const auto& member) {
            return member(x, std::get<state_of<std::remove_cvref_t<decltype(member)>>>(st[i]).inner);
          },
          layers[i]);
    return x;
  }

  /// The states of layers whose positions turn keys are turned again (attention.hpp).
  void turn_again(state& st, Index length) const {
    require_state(st);
    for (std::size_t i = 0; i < layers.size(); ++i)
      std::visit(
          [&](const auto& member) {
            auto& inner = std::get<state_of<std::remove_cvref_t<decltype(member)>>>(st[i]).inner;
            if constexpr (turns_again<std::remove_cvref_t<decltype(member)>>) member.turn_again(inner, length);
          },
          layers[i]);
  }

  template <std::same_as<var<S>>... Other>
  state make_state(state_sizes room, const Other&... other) const {
    state r;
    r.reserve(layers.size());
    for (const kind& one : layers)
      std::visit(
          [&](const auto& member) {
            r.push_back(state_of<std::remove_cvref_t<decltype(member)>>{member.make_state(room, other...)});
          },
          one);
    return r;
  }

  auto begin() { return layers.begin(); }
  auto end() { return layers.end(); }
  auto begin() const { return layers.begin(); }
  auto end() const { return layers.end(); }
  std::size_t size() const { return layers.size(); }

 private:
  void require_state(const state& st) const {
    require(st.size() == layers.size(), "stack: the state has ", st.size(), " layers but the stack has ", layers.size(),
            "; needs the state of this stack's make_state");
  }

  template <std::size_t K, class... Value>
  static kind make_kind(int wanted, const builder& b, const Value&... value) {
    if constexpr (K < sizeof...(Layer)) {
      if (wanted != static_cast<int>(K)) return make_kind<K + 1>(wanted, b, value...);
      return kind(std::in_place_index<K>, std::variant_alternative_t<K, kind>::make(b, value...));
    } else {
      throw argument_error(text("stack: the pattern names kind ", wanted, "; needs 0 .. ", sizeof...(Layer) - 1));
    }
  }
};

}  // namespace formwork
