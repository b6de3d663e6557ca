// SPDX-License-Identifier: MIT
#include <formwork/kernel/cross_entropy.hpp>

#include <cmath>
#include <string>
#include <tuple>

#include "golden/golden.hpp"
#include "support/catch.hpp"

namespace fw = formwork;
using fw::Index;
using matrix = fw::matrix<double>;

TEST_CASE("the loss behind an own or a tied head, and its gradients, are PyTorch's where targets are ignored") {
  const auto [name, weight_name, layout] = GENERATE(std::tuple("own_head", "head", fw::head_layout::width_by_vocab),
                                                    std::tuple("tied", "table", fw::head_layout::vocab_by_width));
  const golden::file file("cross_entropy");
  const std::string at = std::string(name) + ".";
  CAPTURE(at);
  const matrix hidden = file[at + "input.hidden"], weight = file[at + "input." + weight_name];
  const auto targets = file.integers(at + "input.targets");
  const fw::cross_entropy_head<double> head{weight, layout};

  matrix dhidden(hidden.rows(), hidden.cols()), dweight(weight.rows(), weight.cols()), lse(1, hidden.rows());
  const double loss = fw::cross_entropy_forward_backward<double>(dhidden, dweight, lse.data(), hidden, head, targets);
  CHECK(loss == Approx(file[at + "output.loss"](0, 0)).epsilon(1e-14));
  CHECK(golden::error(dhidden, file[at + "grad.hidden"]) <= 1e-13);
  CHECK(golden::error(dweight, file[at + "grad." + weight_name]) <= 1e-13);
  const matrix expected = file[at + "output.lse"];
  for (Index i = 0; i < hidden.rows(); ++i)
    if (targets[static_cast<std::size_t>(i)] >= 0) CHECK(lse(0, i) == Approx(expected(0, i)).epsilon(1e-14));

  CHECK(fw::cross_entropy_forward<double>(nullptr, hidden, head, targets) == loss);
}
