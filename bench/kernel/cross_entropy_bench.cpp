// SPDX-License-Identifier: MIT
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // g++ 12 inside its own intrinsics, met by Eigen's maxCoeff
#endif
#include <formwork/kernel/cross_entropy.hpp>

#include "support/bench.hpp"

#include <vector>

// Counted: 2 tokens width vocab for each product, three with gradients, one without; the softmax is not counted.

namespace fw = formwork;
using fw::Index;

namespace {

struct inputs {
  fw::matrix<float> hidden, weight, dhidden, dweight;
  fw::head_layout layout;
  std::vector<Index> targets;

  inputs(Index tokens, Index width, Index vocab, fw::head_layout form)
      : hidden(tokens, width),
        weight(form == fw::head_layout::vocab_by_width ? vocab : width, form == fw::head_layout::vocab_by_width ? width : vocab),
        dhidden(tokens, width), dweight(weight.rows(), weight.cols(), 0.0f), layout(form) {
    fw::eigen(hidden).setRandom();
    fw::eigen(weight).setRandom();
    fw::eigen(weight) *= 0.1f;
    for (Index i = 0; i < tokens; ++i) targets.push_back(i * 7919 % vocab);
  }
};

void gradients(inputs& in) {
  bench::keep(fw::cross_entropy_forward_backward<float>(in.dhidden, in.dweight, nullptr, in.hidden, {in.weight, in.layout}, in.targets));
}
void loss(inputs& in) {
  bench::keep(fw::cross_entropy_forward<float>(nullptr, in.hidden, {in.weight, in.layout}, in.targets));
}

/// As one writes it with Eigen: all logits at once.
void eigen_gradients(inputs& in) {
  const auto h = fw::eigen(in.hidden), w = fw::eigen(in.weight);
  fw::matrix<float> logits(in.hidden.rows(), in.weight.rows());
  auto p = fw::eigen(logits);
  p.noalias() = h * w.transpose();
  float sum = 0;
  for (Index i = 0; i < p.rows(); ++i) {
    const Index target = in.targets[static_cast<std::size_t>(i)];
    const float most = p.row(i).maxCoeff(), chosen = p(i, target);
    p.row(i) = (p.row(i).array() - most).exp();
    const float z = p.row(i).sum();
    sum += most + std::log(z) - chosen;
    p.row(i) /= z;
    p(i, target) -= 1;
  }
  p /= static_cast<float>(p.rows());
  fw::eigen(in.dhidden).noalias() = p * w;
  fw::eigen(in.dweight).noalias() = p.transpose() * h;
  bench::keep(sum);
}

void measure(const std::string& name, Index tokens, Index width, Index vocab, double products, fw::head_layout layout, void (*f)(inputs&)) {
  bench::row(name + "/" + std::to_string(tokens) + "x" + std::to_string(width) + "x" + std::to_string(vocab),
             {.flops = 2 * products * static_cast<double>(tokens * width * vocab), .tokens = static_cast<double>(tokens)}, [=] {
               return [in = std::make_shared<inputs>(tokens, width, vocab, layout), f] { f(*in); };
             });
}

}  // namespace

void bench::rows() {
  using enum fw::head_layout;
  for (const auto& [tokens, width, vocab] : {std::array<Index, 3>{4096, 256, 256}, {256, 768, 50257}, {1024, 768, 50257}}) {
    measure("cross_entropy/gradients/tied", tokens, width, vocab, 3, vocab_by_width, gradients);
    measure("cross_entropy/gradients/own", tokens, width, vocab, 3, width_by_vocab, gradients);
    measure("cross_entropy/loss/tied", tokens, width, vocab, 1, vocab_by_width, loss);
    measure("two_threads/cross_entropy/gradients/tied", tokens, width, vocab, 3, vocab_by_width, gradients);
    measure("eigen/cross_entropy/gradients/tied", tokens, width, vocab, 3, vocab_by_width, eigen_gradients);
  }
}
