// SPDX-License-Identifier: MIT
#include <formwork/kernel/update.hpp>

#include <string>

#include "golden/golden.hpp"
#include "support/catch.hpp"

namespace fw = formwork;
using fw::Index;
using matrix = fw::matrix<double>;

namespace {

constexpr double bound = 1e-14;

/// update(value, gradient, step) for each step of the file, checked after each.
void check_steps(const golden::file& file, const std::string& rule, auto update) {
  matrix value = file["input.value"];
  for (Index step = 1; step <= 4; ++step) {
    update(value, file["input.gradient_" + std::to_string(step)], step);
    CAPTURE(rule, step);
    CHECK(golden::error(value, file[rule + ".output.value_" + std::to_string(step)]) <= bound);
  }
}

}  // namespace

TEST_CASE("adamw_update makes the steps and the moments of torch.optim.AdamW") {
  const golden::file file("update");
  matrix first(5, 7, 0.0), second(5, 7, 0.0);
  check_steps(file, "adamw", [&](matrix& value, const matrix& gradient, Index step) {
    fw::adamw_update<double>(
        value, first, second, gradient,
        {.rate = 1e-2, .beta1 = 0.9, .beta2 = 0.95, .epsilon = 1e-8, .weight_decay = 0.1, .step = step});
  });
  CHECK(golden::error(first, file["adamw.output.first"]) <= bound);
  CHECK(golden::error(second, file["adamw.output.second"]) <= bound);
}

TEST_CASE("sgd_update makes the steps of torch.optim.SGD, with and without momentum") {
  const golden::file file("update");
  check_steps(file, "sgd", [](matrix& value, const matrix& gradient, Index) {
    fw::sgd_update<double>(value, {}, gradient, {.rate = 0.1, .momentum = 0});
  });
  matrix velocity(5, 7, 0.0);
  check_steps(file, "sgd_momentum", [&](matrix& value, const matrix& gradient, Index) {
    fw::sgd_update<double>(value, velocity, gradient, {.rate = 0.1, .momentum = 0.9});
  });
  CHECK(golden::error(velocity, file["sgd_momentum.output.velocity"]) <= bound);
}
