// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/update_rule.hpp>
#include <formwork/tape/fields.hpp>

#include <cstdint>
#include <initializer_list>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace formwork::inline FORMWORK_ABI {

/// An update rule and the roles of the parameters it takes.
template <update_rule Rule>
struct route {
  std::uint32_t roles;  ///< bit r: takes role r
  Rule rule;
  bool takes(role r) const { return (roles >> static_cast<int>(r) & 1) != 0; }
};

/// The rule for parameters of the given role, or of any of several.
template <update_rule Rule>
route<Rule> when(std::initializer_list<role> kinds, Rule rule) {
  std::uint32_t roles = 0;
  for (const role r : kinds) roles |= std::uint32_t(1) << static_cast<int>(r);
  return {roles, rule};
}
template <update_rule Rule>
route<Rule> when(role kind, Rule rule) {
  return when({kind}, rule);
}
/// The rule for what no earlier route took.
template <update_rule Rule>
route<Rule> otherwise(Rule rule) {
  return {~std::uint32_t(0), rule};
}

/// Updates the parameters of a module, each by the first route that takes its role. Parameters that are frozen or got no
/// gradient since the last step are left alone.
///
/// Example   auto optimizer = fw::optimizer(fw::when(fw::role::matrix, fw::sgd{}), fw::otherwise(fw::adamw{.rate = 3e-4}));
/// Throws    argument_error where no route takes a parameter, or where the module's parameters changed their number or
///           shapes since the first step.
template <class... Rule>
class optimizer {
 public:
  explicit optimizer(route<Rule>... r) : routes_(std::move(r)...) {}

  /// One update of every parameter; marks the gradients stale. `rate_factor` comes from a schedule.
  template <class Module>
  void step(Module& module, double rate_factor = 1) {
    prepare(module);
    ++step_;
    std::size_t i = 0;
    for_each_parameter(module, [&](auto& p) {
      auto& mine = states_[i++];
      if (!p.frozen() && p.has_gradient()) update(p, mine, rate_factor);
      p.mark_stale();
    });
  }

  /// Updates made so far.
  Index steps() const { return step_; }
  void set_steps(Index count) { step_ = count; }

  /// Makes the state of every parameter now rather than at the first step: to restore a checkpoint.
  template <class Module>
  void prepare(Module& module) {
    if (states_.empty()) {
      for_each_named_parameter(module, [&](const std::string& path, auto& p) {
        slot one{path, p.rows(), p.cols(), 0, {}};
        make_state<0>(p, one);
        states_.push_back(std::move(one));
      });
    }
    std::size_t i = 0;
    for_each_parameter(module, [&](auto& p) {
      require(i < states_.size() && states_[i].rows == p.rows() && states_[i].cols == p.cols(),
              "optimizer: the module's parameters are not those of the first step; make a new optimizer for a new model");
      ++i;
    });
    require(i == states_.size(), "optimizer: the module has ", i, " parameters but had ", states_.size(),
            " at the first step; make a new optimizer for a new model");
  }

  /// f(name, matrix&) for every matrix of every state, and f(name, updates&) through `count`: what a checkpoint saves.
  template <class OnMatrix, class OnCount>
  void for_each_state(OnMatrix&& on_matrix, OnCount&& on_count) {
    for (slot& one : states_) {
      on_count(one.path + ".updates", one.updates);
      std::visit(
          [&](auto& state) {
            if constexpr (!std::same_as<std::remove_cvref_t<decltype(state)>, std::monostate>)
              state.matrices([&](const char* name, auto& m) { on_matrix(one.path + "." + name, m); });
          },
          one.state);
    }
  }

 private:
  using any_state = std::variant<std::monostate, typename Rule::template state<float>..., typename Rule::template state<double>...>;
  struct slot {
    std::string path;
    Index rows, cols;
    Index updates;
    any_state state;
  };

  template <std::size_t R, class P>
  void make_state(const P& p, slot& one) {
    using S = typename P::scalar;
    if constexpr (R < sizeof...(Rule)) {
      auto& r = std::get<R>(routes_);
      if (!r.takes(p.kind())) return make_state<R + 1>(p, one);
      one.state.template emplace<1 + R + (std::same_as<S, double> ? sizeof...(Rule) : 0)>(
          r.rule.template make_state<S>(p.rows(), p.cols()));
    } else {
      throw argument_error(text("optimizer: no route takes ", one.path, " of role ", name_of(p.kind()),
                                "; end the routes with otherwise(rule)"));
    }
  }

  template <class P>
  void update(P& p, slot& one, double rate_factor) {
    ++one.updates;
    update_by<0>(p, one, rate_factor);
  }
  template <std::size_t R, class P>
  void update_by(P& p, slot& one, double rate_factor) {
    using S = typename P::scalar;
    if constexpr (R < sizeof...(Rule)) {
      if (auto* mine = std::get_if<1 + R + (std::same_as<S, double> ? sizeof...(Rule) : 0)>(&one.state))
        std::get<R>(routes_).rule.update(
            update_site<S>{p.value(), std::as_const(p).gradient(), p.kind(), one.updates, rate_factor}, *mine);
      else
        update_by<R + 1>(p, one, rate_factor);
    }
  }

  std::tuple<route<Rule>...> routes_;
  std::vector<slot> states_;
  Index step_ = 0;
};
template <class... Rule>
optimizer(route<Rule>...) -> optimizer<Rule...>;

}  // namespace formwork
