// SPDX-License-Identifier: MIT
#include <formwork/attention.hpp>
#include <formwork/mask.hpp>
#include <formwork/position.hpp>

#include "kernel/attend_cases.hpp"
#include "laws/mixer_laws.hpp"

// Every mask of the library inside attention: against the formula in double, its gradients, its incremental form.

namespace fw = formwork;
using fw::Index;

namespace {

const fw::sequences ragged{90, 1, 33};

std::vector<Index> numbered(Index (*number)(Index)) {
  std::vector<Index> numbers;
  for (Index row = 0; row < ragged.rows(); ++row) numbers.push_back(number(row));
  return numbers;
}
fw::documents of_17() {
  return {ragged, numbered([](Index row) { return row / 17; })};
}
fw::unilm of_thirds() {
  return {ragged, numbered([](Index row) { return Index(row % 40 > 25); })};
}

/// Kernel and oracle, which asks visible() of every pair.
template <class Mask>
void equals_the_formula(const Mask& mask) {
  const cases::attention_case<double> one({4, 2, 9, 6}, ragged);
  const auto chosen = cases::policies(mask, fw::inv_sqrt{});
  const auto got = one.run(chosen), expected = one.expect(chosen);
  CHECK(checks::largest_error(got.out, expected.out) <= 1e-13);
  CHECK(checks::largest_error(got.dq, expected.dq) <= 1e-12);
  CHECK(checks::largest_error(got.dk, expected.dk) <= 1e-12);
  CHECK(checks::largest_error(got.dv, expected.dv) <= 1e-12);
}

template <class Mask, class S = float>
using masked = fw::attention<S, Mask, fw::rope<>>;
const fw::sizes small{.width = 24, .heads = 3};

/// By default so narrow that short sequences feel it.
struct narrow : fw::sliding_window {
  constexpr narrow() : sliding_window{7} {}
};
struct narrow_with_sinks : fw::sink_window {
  constexpr narrow_with_sinks() : sink_window{2, 9} {}
};

}  // namespace

TEST_CASE("attention with each mask equals the formula") {
  equals_the_formula(fw::sliding_window{1});
  equals_the_formula(fw::sliding_window{20});
  equals_the_formula(fw::sink_window{3, 10});
  equals_the_formula(fw::prefix{25});
  equals_the_formula(of_17());
  equals_the_formula(of_thirds());
  equals_the_formula(fw::both{fw::causal{}, of_17()});
  equals_the_formula(fw::both{fw::sink_window{2, 8}, of_17()});
}

TEST_CASE("attention with a window: gradients match central differences") {
  laws::gradients_are_right<masked<narrow, double>>(small);
  laws::gradients_are_right<masked<fw::both<narrow, narrow_with_sinks>, double>>(small);
}

TEST_CASE("attention with a window: prefill in any split, then steps, equals the parallel form") {
  laws::any_split_equals_the_parallel_form<masked<narrow>>(small);
  laws::any_split_equals_the_parallel_form<masked<narrow_with_sinks>>(small);
}

TEST_CASE("documents in one sequence give what they give as sequences, where nothing counts positions") {
  // 384 and 768 are whole blocks of keys, so that even the bits are the same.
  const fw::sequences apart{384, 384}, together{768};
  const cases::attention_case<float> one({2, 2, 16, 16}, together);
  std::vector<Index> ids(768, 0);
  std::fill_n(ids.begin() + 384, 384, 1);
  auto split = one;
  split.batch = split.key_batch = apart;
  const auto expected = split.run(cases::policies(fw::causal{}));
  const auto got = one.run(cases::policies(fw::both{fw::causal{}, fw::documents{together, ids}}));
  CHECK(cases::same_bits(got, expected));
}

TEST_CASE("a prefix is given to a state in one call; then it equals the parallel form bit for bit") {
  const Index n = 30;
  auto layer = laws::make_mixer<masked<fw::prefix>>(small);
  layer.mask.length = 11;
  fw::tape<float> quiet{fw::recording::off};
  const auto x = laws::normal_matrix<float>(n, 24, 5);
  const auto rows = [&](Index first, Index count) {
    return quiet.constant(fw::matrix<float>(x.rows(first, count)), fw::sequences{count});
  };
  const fw::matrix<float> whole(layer(rows(0, n)).value());
  auto state = layer.make_state({.sequences = 1, .capacity = n});
  CHECK_THROWS_WITH(layer(rows(0, 10), state), ContainsSubstring("the first 11 tokens of sequence 0 see each other but 10 come after 0"));
  for (const auto& [first, count] : {std::pair<Index, Index>{0, 14}, {14, 1}, {15, 15}})
    CHECK(laws::same_bits(layer(rows(first, count), state).value(), whole.rows(first, count)));

  // A sequence whose tokens come later is not asked for its prefix yet.
  auto two = layer.make_state({.sequences = 2, .capacity = n});
  const auto next = [&](Index first, Index count, const fw::sequences& batch) {
    return fw::matrix<float>(layer(quiet.constant(fw::matrix<float>(x.rows(first, count)), batch), two).value());
  };
  CHECK(laws::same_bits(next(0, 14, {0, 14}), whole.rows(0, 14)));
  CHECK_THROWS_WITH(next(0, 5, {4, 1}), ContainsSubstring("of sequence 0 see each other but 4 come after 0"));
  CHECK(laws::same_bits(next(14, 2, {0, 2}), whole.rows(14, 2)));
}
