// SPDX-License-Identifier: MIT
// Newton–Schulz iterations and whole Muon steps, in operations counted as plain products: 2 m n k for each of X Xᵀ, A², B X.
#include <formwork/optim/muon.hpp>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "support/bench.hpp"

namespace fw = formwork;
using fw::Index;

namespace {

double plain_flops(Index rows, Index cols) {
  const auto small = static_cast<double>(std::min(rows, cols)), large = static_cast<double>(std::max(rows, cols));
  return 5 * 2 * small * small * (2 * large + small);
}
/// What kernel/orthogonalize.hpp says it costs.
double our_flops(Index rows, Index cols) {
  const auto small = static_cast<double>(std::min(rows, cols)), large = static_cast<double>(std::max(rows, cols));
  return small * small * (6 * large + 14 * small);
}

void ours(fw::matrix<float>& y, const fw::matrix<float>& x) {
  static const std::vector<fw::odd_quintic> iterations(5, fw::tuned_quintic);
  fw::orthogonalize<float>(y, x, iterations);
}

/// The iteration as it is written, for wide matrices.
void eigens(fw::matrix<float>& y, const fw::matrix<float>& x) {
  using dense = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const auto [a, b, c] = fw::tuned_quintic;
  dense at = fw::eigen(x) / (fw::eigen(x).norm() + 1e-7f), next(x.rows(), x.cols());
  dense gram(x.rows(), x.rows()), q(x.rows(), x.rows());
  for (int i = 0; i < 5; ++i) {
    gram.noalias() = at * at.transpose();
    q.noalias() = float(c) * gram * gram;
    q += float(b) * gram;
    next.noalias() = q * at;
    at = float(a) * at + next;
  }
  fw::eigen(y) = at;
}

void orthogonalize_row(const std::string& name, Index rows, Index cols, void (*f)(fw::matrix<float>&, const fw::matrix<float>&)) {
  const double plain = plain_flops(rows, cols);
  const bench::work counted{.flops = plain, .saving = plain / our_flops(rows, cols)};
  bench::row(name + "/" + std::to_string(rows) + "x" + std::to_string(cols), counted, [=] {
    auto x = std::make_shared<fw::matrix<float>>(rows, cols), y = std::make_shared<fw::matrix<float>>(rows, cols);
    fw::eigen(*x).setRandom();
    return [=] {
      f(*y, *x);
      bench::keep(*y);
    };
  });
}

struct weight {
  fw::matrix<float> value, gradient;
  fw::muon::state<float> state;
};

void step_row(const std::string& name) {
  const std::vector<std::pair<Index, std::pair<Index, Index>>> shapes{{24, {768, 768}}, {12, {768, 3072}}};
  double plain = 0, done = 0;
  for (const auto& [count, shape] : shapes) {
    plain += static_cast<double>(count) * plain_flops(shape.first, shape.second);
    done += static_cast<double>(count) * our_flops(shape.first, shape.second);
  }
  bench::row(name, {.flops = plain, .saving = plain / done}, [shapes] {
    auto weights = std::make_shared<std::vector<weight>>();
    const fw::muon rule{.weight_decay = 0.1};
    for (const auto& [count, shape] : shapes)
      for (Index i = 0; i < count; ++i) {
        const auto [rows, cols] = shape;
        weight& w = weights->emplace_back(weight{{rows, cols}, {rows, cols}, rule.make_state<float>(rows, cols)});
        fw::eigen(w.value).setRandom();
        fw::eigen(w.gradient).setRandom();
      }
    return [weights, rule] {
      for (weight& w : *weights) rule.update(fw::update_site<float>{w.value, w.gradient, fw::role::matrix, 1, 1}, w.state);
      bench::keep(*weights);
    };
  });
}

}  // namespace

void bench::rows() {
  for (const auto& [rows, cols] : {std::pair<Index, Index>{768, 768}, {768, 3072}}) {
    orthogonalize_row("orthogonalize", rows, cols, ours);
    orthogonalize_row("eigen/orthogonalize", rows, cols, eigens);
    orthogonalize_row("two_threads/orthogonalize", rows, cols, ours);
  }
  orthogonalize_row("orthogonalize", 3072, 768, ours);
  step_row("muon_step/24x768x768_12x768x3072");
}
