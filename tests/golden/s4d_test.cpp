// SPDX-License-Identifier: MIT
#include <formwork/ssm.hpp>
#include <formwork/tape/ops.hpp>

#include <algorithm>
#include <string>

#include "golden/golden.hpp"
#include "support/catch.hpp"

namespace fw = formwork;

namespace {

constexpr double bound = 1e-12;

/// Parameter a.b of the layer is tensor a_b of the file: the output and every gradient.
template <class Layer>
void check_layer(const std::string& name, fw::Index state_width) {
  const golden::file file("s4d");
  const auto tensor = [&](std::string kind, std::string path) {
    std::ranges::replace(path, '.', '_');
    return file[name + "." + kind + "." + path];
  };
  fw::rng random{1};
  auto layer = Layer::make({.sizes = {.width = 5, .state_width = state_width, .bias = fw::biases::all}, .random = random});
  fw::Index parameters = 0;
  fw::for_each_named_parameter(layer, [&](const std::string& path, auto& p) {
    eigen(p.value()) = eigen(tensor("input", path));
    ++parameters;
  });
  CHECK(file.count(name + ".grad.") == parameters + 1);  // and x
  fw::tape<double> tape;
  const auto x = tape.input(tensor("input", "x"), file.lengths("lengths"));
  const auto y = layer(x);
  CHECK(golden::error(y.value(), tensor("output", "y")) <= bound);
  tape.backward(fw::sum(fw::multiply(y, tape.constant(tensor("upstream", "y")))));
  CHECK(golden::error(x.gradient(), tensor("grad", "x")) <= bound);
  fw::for_each_named_parameter(layer, [&](const std::string& path, auto& p) {
    INFO(name << "." << path);
    CHECK(golden::error(p.gradient(), tensor("grad", path)) <= bound);
  });
}

}  // namespace

TEST_CASE("an S4D layer and all its gradients are PyTorch's, by either discretisation, complex or real") {
  check_layer<fw::s4d<double, fw::zero_order_hold>>("zero_order_hold_pairs", 6);
  check_layer<fw::s4d<double, fw::bilinear>>("bilinear_pairs", 6);
  check_layer<fw::s4d<double, fw::s4d_real, fw::zero_order_hold>>("zero_order_hold_real", 3);
  check_layer<fw::s4d<double, fw::s4d_real, fw::bilinear>>("bilinear_real", 3);
}
