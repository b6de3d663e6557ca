// SPDX-License-Identifier: MIT
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // g++ 12 inside its own intrinsics, met by Eigen's sqrt
#endif
#include <formwork/kernel/update.hpp>

#include "support/bench.hpp"

// Bytes counted are those that have to be read: p, g, m, v for AdamW (it writes 12 more a float), p, g, m for SGD.

namespace fw = formwork;
using fw::Index;

namespace {

struct inputs {
  fw::matrix<float> value, gradient, first, second;

  inputs(Index rows, Index cols) : value(rows, cols), gradient(rows, cols), first(rows, cols, 0.0f), second(rows, cols, 0.0f) {
    fw::eigen(value).setRandom();
    fw::eigen(gradient).setRandom();
  }
};

void eigen_adamw(inputs& in) {
  auto p = fw::eigen(in.value).array(), g = fw::eigen(in.gradient).array(), m = fw::eigen(in.first).array(), v = fw::eigen(in.second).array();
  m = 0.9f * m + 0.1f * g;
  v = 0.95f * v + 0.05f * g.square();
  p -= 3e-5f * p + 3e-4f * (m / 0.1f) / ((v / 0.05f).sqrt() + 1e-8f);
}
void naive_adamw(inputs& in) {
  for (Index i = 0; i < in.value.size(); ++i) {
    float &p = in.value.data()[i], &m = in.first.data()[i], &v = in.second.data()[i];
    const float g = in.gradient.data()[i];
    m = 0.9f * m + 0.1f * g;
    v = 0.95f * v + 0.05f * g * g;
    p -= 3e-5f * p + 3e-4f * (m / 0.1f) / (std::sqrt(v / 0.05f) + 1e-8f);
  }
}

void measure(const std::string& name, Index rows, Index cols, double read, void (*f)(inputs&)) {
  bench::row(name + "/" + std::to_string(rows) + "x" + std::to_string(cols),
             {.bytes = 4 * read * static_cast<double>(rows * cols)}, [=] {
               return [in = std::make_shared<inputs>(rows, cols), f] { f(*in); };
             });
}

}  // namespace

void bench::rows() {
  const auto adamw = [](inputs& in) { fw::adamw_update<float>(in.value, in.first, in.second, in.gradient, {.weight_decay = 0.1}); };
  const auto sgd = [](inputs& in) { fw::sgd_update<float>(in.value, in.first, in.gradient, {}); };
  const auto norm = [](inputs& in) { bench::keep(fw::squared_norm(in.gradient)); };
  for (const auto& [rows, cols] : {std::pair<Index, Index>{256, 256}, {50257, 768}}) {
    measure("update/adamw", rows, cols, 4, adamw);
    measure("update/sgd", rows, cols, 3, sgd);
    measure("update/squared_norm", rows, cols, 1, norm);
    measure("two_threads/update/adamw", rows, cols, 4, adamw);
    measure("eigen/update/adamw", rows, cols, 4, eigen_adamw);
    measure("naive/update/adamw", rows, cols, 4, naive_adamw);
    measure("eigen/update/squared_norm", rows, cols, 1, [](inputs& in) { bench::keep(fw::eigen(in.gradient).squaredNorm()); });
  }
}
