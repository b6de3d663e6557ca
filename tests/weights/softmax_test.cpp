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

TEST_CASE("softmax: of weights far below the largest nothing is left, so that no product with them leaves the normal numbers") {
  std::vector<float> scores(4 * fw::lanes<float>);
  for (std::size_t j = 0; j < scores.size(); ++j) scores[j] = -5.f * static_cast<float>(j);
  const laws::weighed_row<float, fw::softmax> row(fw::softmax{}, scores, {4});
  for (std::size_t j = 0; j < scores.size(); ++j)
    CHECK((row.weights[j] == 0) == (scores[j] * fw::softmax::score_unit < -62));
}
