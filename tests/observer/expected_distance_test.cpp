// SPDX-License-Identifier: MIT
#include <formwork/observer/expected_distance.hpp>

#include "laws/observer_laws.hpp"

namespace fw = formwork;
using fw::Index;

TEMPLATE_TEST_CASE("expected_distance keeps the laws of observers", "", float, double) {
  laws::observer_laws<TestType>(fw::expected_distance{});
}

TEST_CASE("expected_distance of rows that share alike is the mean of the distances they see, ahead negative") {
  cases::attention_case<double> one({1, 1, 4, 1}, {50});
  one.q.fill(0);
  const auto distances = [&](const auto& mask) {
    return std::move(laws::observed<double>(one, cases::policies(mask), fw::expected_distance{})[0]);
  };
  const auto past = distances(fw::causal{}), all = distances(fw::full{}), window = distances(fw::sliding_window{5}),
             sink = distances(fw::sink_window{1, 4});
  for (Index i = 0; i < 50; ++i) {
    const auto at = static_cast<double>(i);
    CHECK(std::abs(past(i, 0) - at / 2) < 1e-13);
    CHECK(std::abs(all(i, 0) - (at - 24.5)) < 1e-13);
    CHECK(std::abs(window(i, 0) - std::min(at, 4.0) / 2) < 1e-13);
    CHECK(std::abs(sink(i, 0) - (i < 4 ? at / 2 : (at + 0 + 1 + 2 + 3) / 5)) < 1e-13);  // two ranges, at first in one pack
  }
}
