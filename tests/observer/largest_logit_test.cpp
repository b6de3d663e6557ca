// SPDX-License-Identifier: MIT
#include <formwork/observer/largest_logit.hpp>

#include "laws/observer_laws.hpp"

namespace fw = formwork;
using fw::Index;

TEMPLATE_TEST_CASE("largest_logit keeps the laws of observers", "", float, double) {
  laws::observer_laws<TestType>(fw::largest_logit{});
}

TEST_CASE("largest_logit is the score after scale and formula, in natural units") {
  cases::attention_case<float> one({1, 1, 4, 1}, {1}, {3});
  one.q.fill(1);
  for (Index j = 0; j < 3; ++j) std::fill_n(one.k.row(j), 4, static_cast<float>(j) - 5);  // scores 4 (j - 5) / √4: -10, -8, -6
  const auto most = [&](const auto& chosen) { return laws::observed<float>(one, chosen, fw::largest_logit{})[0](0, 0); };
  CHECK(std::abs(most(cases::policies(fw::full{})) + 6) < 2e-6f);
  CHECK(std::abs(most(cases::policies(fw::full{}, fw::inv_sqrt{}, fw::softcap{3})) + 3 * std::tanh(2.f)) < 2e-6f);
  CHECK(std::abs(most(cases::policies(fw::causal{})) + 10) < 2e-6f);
}

TEST_CASE("largest_logit is NaN where a score that is seen is NaN, whatever comes after") {
  for (const Index bad : {0, 1, 20, 39}) {
    cases::attention_case<float> one({1, 1, 4, 1}, {40});
    one.k(bad, 2) = std::numeric_limits<float>::quiet_NaN();
    const auto most = std::move(laws::observed<float>(one, cases::policies(fw::causal{}), fw::largest_logit{})[0]);
    for (Index i = 0; i < 40; ++i) CHECK(std::isnan(most(i, 0)) == (i >= bad));
  }
}
