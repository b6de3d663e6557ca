// SPDX-License-Identifier: MIT
#include <formwork/observer/row_entropy.hpp>

#include "laws/observer_laws.hpp"
#include "oracle/observe.hpp"

namespace fw = formwork;
using fw::Index;

namespace {

/// The entropies of rows of width 1: q_i k_j are the scores.
fw::matrix<double> entropies(const std::vector<double>& q, const std::vector<double>& k, const auto& mask) {
  cases::attention_case<double> one({1, 1, 1, 1}, {static_cast<Index>(q.size())}, {static_cast<Index>(k.size())});
  std::copy(q.begin(), q.end(), one.q.data());
  std::copy(k.begin(), k.end(), one.k.data());
  return std::move(laws::observed<double>(one, cases::policies(mask), fw::row_entropy{})[0]);
}

}  // namespace

TEMPLATE_TEST_CASE("row_entropy keeps the laws of observers", "", float, double) {
  laws::observer_laws<TestType>(fw::row_entropy{});
}

TEST_CASE("row_entropy: softmax of 0, 1, 2, 3, at inverse temperature 1 and 2") {
  const auto h = entropies({1, 2}, {0, 1, 2, 3}, fw::full{});
  CHECK(std::abs(h(0, 0) - .94753696) < 1e-8);
  CHECK(std::abs(h(1, 0) - .45542862) < 1e-8);
}

TEST_CASE("row_entropy is log n where n keys share a row, and 0 where one key has it all") {
  const auto h = entropies({0, 0, 0, 1e3}, {0, 1, 2, 3}, fw::causal{});
  for (Index i = 0; i < 3; ++i) CHECK(std::abs(h(i, 0) - std::log(static_cast<double>(i + 1))) < 1e-15);
  CHECK(std::abs(h(3, 0)) < 1e-12);
}

TEST_CASE("row_entropy is at least log n - (largest score - mean score)") {
  const cases::attention_case<double> one({3, 3, 16, 2}, {90, 20});
  const auto chosen = cases::policies(fw::causal{});
  const auto h = std::move(laws::observed<double>(one, chosen, fw::row_entropy{})[0]);
  double nearest = std::numeric_limits<double>::infinity();
  oracle::each_row<double>(one.q, one.k, one.batch, one.batch, one.shape, chosen, nullptr,
                           [&](Index row, Index head, const oracle::seen_keys<double>& seen) {
                             double mean = 0, most = seen.scores[0];
                             const auto n = static_cast<double>(seen.size());
                             for (const double s : seen.scores) mean += s / n, most = std::max(most, s);
                             const double above = h(row, head) - (std::log(n) - (most - mean));
                             CHECK(above >= -1e-14);
                             if (n > 2) nearest = std::min(nearest, above);
                           });
  CHECK(nearest < 0.5);  // the bound says something
}
