// SPDX-License-Identifier: MIT
#include <formwork/optim/muon.hpp>

#include <string>
#include <vector>

#include "golden/golden.hpp"
#include "support/catch.hpp"

namespace fw = formwork;
using fw::Index;
using matrix = fw::matrix<double>;

namespace {

void check_orthogonalized(const golden::file& file, const std::string& name, const std::vector<fw::odd_quintic>& iterations,
                          const char* expected, double bound) {
  CAPTURE(name, expected);
  const matrix x = file[name + ".input.x"];
  matrix y(x.rows(), x.cols());
  fw::orthogonalize<double>(y, x, iterations);
  CHECK(golden::error(y, file[name + ".output." + expected]) <= bound);
}

void check_steps(const golden::file& file, const std::string& shape, const std::string& label, const fw::muon& rule) {
  matrix value = file[shape + ".input.value"];
  auto state = rule.make_state<double>(value.rows(), value.cols());
  for (Index step = 1; step <= 4; ++step) {
    CAPTURE(shape, label, step);
    const matrix gradient = file[shape + ".input.gradient_" + std::to_string(step)];
    rule.update(fw::update_site<double>{value, gradient, fw::role::matrix, step, 1}, state);
    CHECK(golden::error(value, file[shape + "." + label + ".output.value_" + std::to_string(step)]) <= 1e-13);
  }
  CHECK(golden::error(state.momentum, file[shape + "." + label + ".output.momentum"]) <= 1e-14);
}

}  // namespace

TEST_CASE("orthogonalize gives PyTorch's Newton-Schulz and the msign of its SVD") {
  const golden::file file("muon");
  for (const char* name : {"square", "wide", "tall"}) {
    check_orthogonalized(file, name, std::vector(5, fw::tuned_quintic), "tuned", 1e-12);
    check_orthogonalized(file, name, std::vector(14, fw::convergent_quintic), "msign", 1e-10);
  }
}

TEST_CASE("muon makes the steps of PyTorch's formulas in both momentum forms and both scales") {
  const golden::file file("muon");
  for (const char* shape : {"wide", "tall"}) {
    fw::muon rule{.rate = 0.02, .momentum = 0.95, .weight_decay = 0.1, .keeps = fw::muon::kept::mean};
    check_steps(file, shape, "jordan", rule);
    rule.keeps = fw::muon::kept::sum;
    rule.scale = fw::muon::scaling::match_rms_adamw;
    check_steps(file, shape, "moonshot", rule);
    rule.scale = fw::muon::scaling::original;
    rule.form = fw::momentum_form::heavy_ball;
    check_steps(file, shape, "heavy_ball", rule);
  }
}
