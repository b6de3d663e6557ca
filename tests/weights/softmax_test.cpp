// SPDX-License-Identifier: MIT
#include <formwork/weights/softmax.hpp>

#include "laws/weights_laws.hpp"

namespace fw = formwork;

TEMPLATE_TEST_CASE("softmax keeps the laws of weights", "", float, double) {
  laws::weights_laws<TestType>(fw::softmax{});
}

TEST_CASE("softmax: a row whose scores are all masked weighs nothing and keeps -inf") {
  constexpr float masked = -std::numeric_limits<float>::infinity();
  const laws::weighed_row<float, fw::softmax> row(fw::softmax{}, std::vector<float>(fw::lanes<float>, masked), {1});
  CHECK(row.done.kept == masked);
  CHECK(row.weights == std::vector<float>(fw::lanes<float>, 0.0f));
  const fw::saved_row<float> saved{masked, 0};
  CHECK(largest(fw::softmax{}.weight(fw::pack<float>(1), saved)) == 0);
}
