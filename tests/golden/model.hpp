// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/formwork.hpp>

#include <string>
#include <vector>

#include "golden/golden.hpp"
#include "support/catch.hpp"

// Whole models against PyTorch's.
namespace golden {

struct batch {
  formwork::tokens input;
  std::vector<formwork::Index> target;

  batch(const file& from, const std::string& name)
      : input(from.integers(name + ".tokens"), from.lengths(name + ".lengths")), target(from.integers(name + ".targets")) {}
};

/// Gives a model the parameters whose names in the file begin with `prefix`: the same paths, no more and no fewer.
template <class Model>
void give_parameters(const file& from, const std::string& prefix, Model& model) {
  formwork::Index parameters = 0;
  formwork::for_each_named_parameter(model, [&](const std::string& path, auto& p) {
    const auto stored = from[prefix + path];
    INFO(path);
    REQUIRE(formwork::shape_text(stored) == formwork::shape_text(p));
    eigen(p.value()) = eigen(stored);
    ++parameters;
  });
  REQUIRE(parameters == from.count(prefix));
}

/// The scores, the loss and every gradient of batch0. Where the exact gradient is 0 (a key's bias without rotation: softmax
/// does not feel it), both have nothing but rounding.
template <class Model>
void check_one_step(const file& expected, Model model) {
  const batch b(expected, "batch0");
  formwork::tape<double> tape;
  CHECK(error(model(tape, b.input).value().value(), expected["output.logits"]) <= 1e-13);
  tape.clear();
  const auto loss = formwork::cross_entropy(model(tape, b.input), b.target);
  CHECK(loss.item() == Approx(expected["output.loss"](0, 0)).epsilon(1e-14));
  tape.backward(loss);
  formwork::for_each_named_parameter(model, [&](const std::string& path, auto& p) {
    const auto gradient = expected["grad." + path];
    const formwork::matrix<double> zero(gradient.rows(), gradient.cols(), 0.0);
    INFO(path);
    if (error(gradient, zero) <= 1e-15)
      CHECK(error(p.gradient(), zero) <= 1e-15);
    else
      CHECK(error(p.gradient(), gradient) <= 1e-12);
  });
}

}  // namespace golden
