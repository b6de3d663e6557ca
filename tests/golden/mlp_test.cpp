// SPDX-License-Identifier: MIT
#include <formwork/activation/gelu.hpp>
#include <formwork/activation/silu.hpp>
#include <formwork/feedforward/gated_mlp.hpp>
#include <formwork/feedforward/mlp.hpp>
#include <formwork/kernel/product.hpp>
#include <formwork/tape/ops.hpp>

#include <algorithm>
#include <string>

#include "golden/golden.hpp"
#include "support/catch.hpp"

namespace fw = formwork;
using fw::Index;
using matrix = fw::matrix<double>;

namespace {

constexpr double bound = 1e-13;

/// A module whose parameter a.b is tensor a_b of the file: its output and every gradient.
void check_module(const std::string& name, auto module) {
  const golden::file file("mlp");
  const auto tensor = [&](std::string kind, std::string path) {
    std::ranges::replace(path, '.', '_');
    return file[name + "." + kind + "." + path];
  };
  fw::for_each_named_parameter(
      module, [&](const std::string& path, auto& p) { eigen(p.value()) = eigen(tensor("input", path)); });
  fw::tape<double> tape;
  const auto x = tape.input(tensor("input", "x"));
  const auto y = module(x);
  CHECK(golden::error(y.value(), tensor("output", "y")) <= bound);
  tape.backward(fw::sum(fw::multiply(y, tape.constant(tensor("upstream", "y")))));
  CHECK(golden::error(x.gradient(), tensor("grad", "x")) <= bound);
  fw::for_each_named_parameter(module, [&](const std::string& path, auto& p) {
    INFO(name << "." << path);
    CHECK(golden::error(p.gradient(), tensor("grad", path)) <= bound);
  });
}

fw::sizes sizes(fw::biases bias) { return {.width = 10, .hidden = 19, .bias = bias}; }

}  // namespace

TEST_CASE("the three products make a linear layer and its gradients as PyTorch does") {
  const golden::file file("mlp");
  const matrix x = file["linear.input.x"], weight = file["linear.input.weight"], bias = file["linear.input.bias"];
  const matrix dy = file["linear.upstream.y"];
  matrix y(dy.rows(), dy.cols()), dx(x.rows(), x.cols()), dweight(weight.rows(), weight.cols());
  fw::product_nn<double>(y, x, weight, fw::start::fresh, fw::add_bias{bias.data()});
  fw::product_nt<double>(dx, dy, weight);
  fw::product_tn<double>(dweight, x, dy);
  CHECK(golden::error(y, file["linear.output.y"]) <= bound);
  CHECK(golden::error(dx, file["linear.grad.x"]) <= bound);
  CHECK(golden::error(dweight, file["linear.grad.weight"]) <= bound);
}

TEST_CASE("linear, mlp and gated_mlp and all their gradients are PyTorch's") {
  fw::rng random{1};
  check_module("linear", fw::linear<double>::make(10, 19, random, fw::biases::all));
  check_module("mlp", fw::mlp<double, fw::gelu>::make({.sizes = sizes(fw::biases::all), .random = random}));
  check_module("gated_mlp",
               fw::gated_mlp<double, fw::silu>::make({.sizes = sizes(fw::biases::none), .random = random}));
}
