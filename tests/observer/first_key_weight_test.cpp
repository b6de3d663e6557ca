// SPDX-License-Identifier: MIT
#include <formwork/observer/first_key_weight.hpp>

#include "laws/observer_laws.hpp"

namespace fw = formwork;
using fw::Index;

TEMPLATE_TEST_CASE("first_key_weight keeps the laws of observers", "", float, double) {
  laws::observer_laws<TestType>(fw::first_key_weight{});
}

TEST_CASE("first_key_weight is 1/n where n keys share a row, and 0 where the first is not seen") {
  cases::attention_case<double> one({1, 1, 4, 1}, {50});
  one.q.fill(0);
  const auto weights = [&](const auto& mask) {
    return std::move(laws::observed<double>(one, cases::policies(mask), fw::first_key_weight{})[0]);
  };
  const auto past = weights(fw::causal{}), window = weights(fw::sliding_window{5}), sink = weights(fw::sink_window{1, 4});
  for (Index i = 0; i < 50; ++i) {
    CHECK(std::abs(past(i, 0) - 1 / static_cast<double>(i + 1)) < 1e-15);
    CHECK((window(i, 0) > 0) == (i < 5));
    CHECK(sink(i, 0) > 0.19);
  }
}
