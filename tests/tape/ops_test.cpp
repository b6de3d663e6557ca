// SPDX-License-Identifier: MIT
#include <formwork/core/random.hpp>
#include <formwork/tape.hpp>

#include <tuple>

#include "support/catch.hpp"

namespace fw = formwork;
using fw::Index;

namespace {

fw::parameter<double> random_parameter(Index rows, Index cols, std::uint64_t seed) {
  fw::rng random{seed};
  fw::matrix<double> m(rows, cols);
  random.fill_normal(m.all(), 1.0);
  return {std::move(m), fw::role::matrix};
}

/// Any value made a scalar whose gradient differs in every entry.
fw::var<double> probe(const fw::var<double>& y) {
  fw::rng random{99};
  fw::matrix<double> weights(y.rows(), y.cols());
  random.fill_normal(weights.all(), 1.0);
  return fw::sum(fw::multiply(y, y.tape().constant(std::move(weights))));
}

template <class Op>
void check_one(const Op& op) {
  for (const auto& [rows, cols] : {std::pair<Index, Index>{1, 1}, {3, 17}, {5, 8}}) {
    auto x = random_parameter(rows, cols, 3);
    const auto report = fw::gradcheck(x, [&](fw::tape<double>& t) { return probe(op(fw::use(t, x))); });
    INFO(rows << " × " << cols << ": " << report);
    CHECK(report);
    CHECK(report.entries == rows * cols);
  }
}

template <class Op>
void check_two(const Op& op) {
  for (const auto& [rows, cols] : {std::pair<Index, Index>{1, 1}, {3, 17}, {5, 8}}) {
    auto both = std::tuple(random_parameter(rows, cols, 3), random_parameter(rows, cols, 4));
    const auto report = fw::gradcheck(
        both, [&](fw::tape<double>& t) { return probe(op(fw::use(t, std::get<0>(both)), fw::use(t, std::get<1>(both)))); });
    INFO(rows << " × " << cols << ": " << report);
    CHECK(report);
  }
}

}  // namespace

TEST_CASE("add, subtract and multiply have the gradients of their formulas") {
  check_two([](const auto& a, const auto& b) { return fw::add(a, b); });
  check_two([](const auto& a, const auto& b) { return fw::subtract(a, b); });
  check_two([](const auto& a, const auto& b) { return fw::multiply(a, b); });
  check_two([](const auto& a, const auto& b) { return fw::scaled_sum(1.7, a, b); });
}

TEST_CASE("a value used twice gets both contributions") {
  check_one([](const auto& x) { return fw::multiply(x, x); });
  check_one([](const auto& x) { return fw::add(x, fw::scale(x, 3)); });
}

TEST_CASE("map differentiates a user's formula") {
  check_one([](const auto& x) {
    return fw::map(x, [](auto v) {
      using T = decltype(v);
      return v * tanh(v) + exp(T(-0.5) * v * v);
    });
  });
}

TEST_CASE("product has the gradients of a matrix product") {
  auto both = std::tuple(random_parameter(5, 7, 1), random_parameter(7, 3, 2));
  const auto report = fw::gradcheck(both, [&](fw::tape<double>& t) {
    return probe(fw::product(fw::use(t, std::get<0>(both)), fw::use(t, std::get<1>(both))));
  });
  INFO(report);
  CHECK(report);
}

TEST_CASE("split undoes concat, and both pass gradients through") {
  check_two([](const auto& a, const auto& b) { return fw::concat<double>({a, b, a}); });
  check_one([](const auto& x) {
    const Index left = x.cols() / 2;
    const auto parts = fw::split(x, {left, x.cols() - left});
    return fw::concat<double>({parts[1], parts[0]});
  });
  fw::tape<double> t{fw::recording::off};
  const auto x = t.constant(random_parameter(3, 9, 5).value().rows() ? fw::matrix<double>(random_parameter(3, 9, 5).value())
                                                                     : fw::matrix<double>());
  const auto parts = fw::split(x, {4, 5});
  const auto again = fw::concat<double>({parts[0], parts[1]});
  CHECK(fw::eigen(again.value()) == fw::eigen(x.value()));
  CHECK_THROWS_WITH(fw::split(x, {4, 4}), "split: the widths sum to 8 but x is (3 × 9)");
}

TEST_CASE("lookup reads rows and gathers their gradients, an id used twice included") {
  auto table = random_parameter(4, 5, 1);
  const std::vector<Index> ids{2, 0, 2, 3};
  const auto report = fw::gradcheck(
      table, [&](fw::tape<double>& t) { return probe(fw::lookup(t, table, ids, fw::share(fw::sequences{4}))); });
  INFO(report);
  CHECK(report);
  fw::tape<double> t{fw::recording::off};
  const std::vector<Index> outside{4};
  CHECK_THROWS_WITH(fw::lookup(t, table, outside, fw::share(fw::sequences{1})),
                    "lookup: id 4 is outside the table; needs 0 <= id < 4");
}

TEST_CASE("sum, mean and row_sums reduce") {
  check_one([](const auto& x) { return fw::sum(fw::multiply(x, x)); });
  check_one([](const auto& x) { return fw::mean(fw::multiply(x, x)); });
  check_one([](const auto& x) { return fw::row_sums(fw::multiply(x, x)); });
  fw::tape<double> t{fw::recording::off};
  CHECK(fw::sum(t.constant(fw::matrix<double>(3, 2, 1.0))).batch().rows() == 1);
}

TEST_CASE("shapes that do not fit name the operation and both shapes") {
  fw::tape<double> t;
  const auto a = t.constant(fw::matrix<double>(2, 3, 1.0)), b = t.constant(fw::matrix<double>(3, 2, 1.0));
  CHECK_THROWS_WITH(fw::add(a, b), "add: a is (2 × 3) but b is (3 × 2); needs equal shapes");
  CHECK_THROWS_WITH(fw::product(a, a), "product: a is (2 × 3) but b is (2 × 3); needs a.cols = b.rows");
}
