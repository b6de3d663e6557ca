// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/update_rule.hpp>

#include <cmath>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "kernel/checks.hpp"

/// What every update rule promises (contract/update_rule.hpp).
namespace laws {

namespace fw = formwork;
using checks::numbers, checks::same_bits, checks::shifted;
using fw::Index;

/// A value under an update rule, with the gradients of a training run.
template <class Rule, class S>
struct trained {
  Rule rule;
  fw::matrix<S> value;
  typename Rule::template state<S> state;
  Index step = 0;

  trained(const Rule& r, Index rows, Index cols)
      : rule(r), value(numbers(1).matrix<S>(rows, cols)), state(r.template make_state<S>(rows, cols)) {}

  fw::matrix<S> gradient() const { return numbers(100 + std::uint64_t(step)).matrix<S>(value.rows(), value.cols()); }
  void update(fw::view<S> p, fw::view<const S> g, double factor = 1) {
    rule.update(fw::update_site<S>{p, g, fw::role::matrix, ++step, factor}, state);
  }
  void train(Index steps) {
    while (step < steps) {
      const auto g = gradient();
      update(value, g, 1 / double(1 + step));
    }
  }
  /// The value and the matrices of the state, one after another.
  std::vector<fw::matrix<S>> everything() {
    std::vector<fw::matrix<S>> all{value};
    state.matrices([&](const char*, fw::matrix<S>& m) { all.push_back(m); });
    return all;
  }
};

template <class S>
bool same_bits(const std::vector<fw::matrix<S>>& a, const std::vector<fw::matrix<S>>& b) {
  bool same = a.size() == b.size();
  for (std::size_t i = 0; same && i < a.size(); ++i) same = checks::same_bits(a[i], b[i]);
  return same;
}

template <class Rule, class S>
void moves_and_is_deterministic(const Rule& rule, Index rows, Index cols) {
  const int before = fw::threads();
  const auto run = [&](int threads) {
    fw::threads(threads);
    trained<Rule, S> t(rule, rows, cols);
    t.train(4);
    return t.everything();
  };
  const auto one = run(1);
  CHECK_FALSE(same_bits(one[0], trained<Rule, S>(rule, rows, cols).value));
  for (const int threads : {1, 2, 3, 8}) {
    CAPTURE(threads);
    CHECK(same_bits(run(threads), one));
  }
  fw::threads(before);
}

/// Saving the matrices it lists, and nothing else, is enough to continue.
template <class Rule, class S>
void restored_state_continues(const Rule& rule, Index rows, Index cols) {
  trained<Rule, S> whole(rule, rows, cols), second(rule, rows, cols);
  whole.train(3);
  second.value = whole.value;
  second.step = whole.step;
  std::vector<fw::matrix<S>> saved;
  std::set<std::string> names;
  whole.state.matrices([&](const char* name, fw::matrix<S>& m) { saved.push_back(m), names.insert(name); });
  CHECK(names.size() == saved.size());
  std::size_t i = 0;
  second.state.matrices([&](const char*, fw::matrix<S>& m) { m = saved[i++]; });
  whole.train(6);
  second.train(6);
  CHECK(same_bits(second.everything(), whole.everything()));
}

template <class Rule, class S>
void memory_does_not_matter(const Rule& rule, Index rows, Index cols) {
  trained<Rule, S> dense(rule, rows, cols), spread(rule, rows, cols);
  for (Index offset = 0; offset < 5; ++offset) {
    const auto g = dense.gradient();
    shifted<S> p(spread.value, offset, offset % 3), slope(g, 7 - offset, offset % 2);
    dense.update(dense.value, g);
    spread.update(p.view(), slope.view());
    spread.value = p.copy();
    CHECK(same_bits(slope.copy(), g));
  }
  CHECK(same_bits(spread.everything(), dense.everything()));
}

/// Without a gradient there is nothing but decay; at a rate of 0 there is nothing at all.
template <class Rule, class S>
void nothing_moves_without_cause(const Rule& rule, Index rows, Index cols) {
  trained<Rule, S> still(rule, rows, cols), slow(rule, rows, cols);
  const auto before = still.value;
  still.update(still.value, fw::matrix<S>(rows, cols, S(0)));
  for (Index i = 0; i < before.size(); ++i) {
    const double x = double(before.data()[i]), kept = double(still.value.data()[i]);
    CHECK((kept * x >= 0 && std::abs(kept) <= std::abs(x) && std::abs(kept) >= 0.5 * std::abs(x)));
  }
  const auto g = slow.gradient();
  slow.update(slow.value, g, 0);
  CHECK(same_bits(slow.value, before));
}

template <class S, class Rule>
void update_rule_laws(const Rule& rule) {
  for (const auto& [rows, cols] : std::vector<std::pair<Index, Index>>{{1, 1}, {1, 17}, {9, 1}, {5, 3}, {3, 5}, {33, 50}, {70, 16}}) {
    CAPTURE(rows, cols);
    moves_and_is_deterministic<Rule, S>(rule, rows, cols);
    restored_state_continues<Rule, S>(rule, rows, cols);
    memory_does_not_matter<Rule, S>(rule, rows, cols);
    nothing_moves_without_cause<Rule, S>(rule, rows, cols);
  }
}

}  // namespace laws
