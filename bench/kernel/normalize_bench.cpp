// SPDX-License-Identifier: MIT
#include <formwork/kernel/normalize.hpp>

#include "support/bench.hpp"

// Bytes counted are those that have to be read: x forward, x and residual where one is added, x and dy backward.

namespace fw = formwork;
using fw::Index;

namespace {

struct inputs {
  fw::matrix<float> x, residual, sum, y, dx, gain, bias, dgain, dbias, mean, inverse;

  inputs(Index rows, Index width)
      : x(rows, width), residual(rows, width), sum(rows, width), y(rows, width), dx(rows, width), gain(1, width, 1.0f),
        bias(1, width, 0.0f), dgain(1, width, 0.0f), dbias(1, width, 0.0f), mean(rows, 1), inverse(rows, 1) {
    fw::eigen(x).setRandom();
    fw::eigen(residual).setRandom();
    fw::layer_norm_forward<float>(y, mean.data(), inverse.data(), x, gain.data(), bias.data(), 1e-5);
  }
};

void eigen_rms(inputs& in) {
  const auto x = fw::eigen(in.x);
  const auto width = static_cast<float>(in.x.cols());
  fw::eigen(in.inverse) = (x.rowwise().squaredNorm() / width).array().unaryExpr([](float v) { return 1 / std::sqrt(v + 1e-6f); });
  fw::eigen(in.y) = x.cwiseProduct(fw::eigen(in.inverse).col(0).replicate(1, x.cols())).cwiseProduct(fw::eigen(in.gain).replicate(x.rows(), 1));
}
void eigen_rms_backward(inputs& in) {
  const auto x = fw::eigen(in.x), dy = fw::eigen(in.y);
  for (Index i = 0; i < in.x.rows(); ++i) {
    const float r = in.inverse(i, 0);
    const float along = x.row(i).cwiseProduct(dy.row(i)).dot(fw::eigen(in.gain).row(0)) * r / static_cast<float>(x.cols());
    fw::eigen(in.dx).row(i) = r * (dy.row(i).cwiseProduct(fw::eigen(in.gain).row(0)) - x.row(i) * (r * along));
    fw::eigen(in.dgain).row(0) += dy.row(i).cwiseProduct(x.row(i)) * r;
  }
}
void naive_rms(inputs& in) {
  for (Index i = 0; i < in.x.rows(); ++i) {
    float sum = 0;
    for (Index j = 0; j < in.x.cols(); ++j) sum += in.x(i, j) * in.x(i, j);
    const float r = in.inverse(i, 0) = 1 / std::sqrt(sum / static_cast<float>(in.x.cols()) + 1e-6f);
    for (Index j = 0; j < in.x.cols(); ++j) in.y(i, j) = in.x(i, j) * r * in.gain(0, j);
  }
}

void measure(const std::string& name, Index rows, Index width, double read, void (*f)(inputs&)) {
  bench::row(name + "/" + std::to_string(rows) + "x" + std::to_string(width),
             {.bytes = 4 * read * static_cast<double>(rows * width)}, [=] {
               return [in = std::make_shared<inputs>(rows, width), f] { f(*in); };
             });
}

}  // namespace

void bench::rows() {
  for (const auto& [rows, width] : {std::pair<Index, Index>{256, 768}, {4096, 256}, {32768, 1024}}) {
    measure("normalize/rms/forward", rows, width, 1, [](inputs& in) {
      fw::rms_norm_forward<float>(in.y, in.inverse.data(), in.x, in.gain.data(), 1e-6);
    });
    measure("normalize/rms/forward_add", rows, width, 2, [](inputs& in) {
      fw::add_rms_norm_forward<float>(in.sum, in.y, in.inverse.data(), in.x, in.residual, in.gain.data(), 1e-6);
    });
    measure("normalize/rms/backward", rows, width, 2, [](inputs& in) {
      fw::rms_norm_backward<float>(in.dx, in.dgain.data(), in.y, in.x, in.inverse.data(), in.gain.data());
    });
    measure("normalize/layer/forward", rows, width, 1, [](inputs& in) {
      fw::layer_norm_forward<float>(in.y, in.mean.data(), in.inverse.data(), in.x, in.gain.data(), in.bias.data(), 1e-5);
    });
    measure("normalize/layer/backward", rows, width, 2, [](inputs& in) {
      fw::layer_norm_backward<float>(in.dx, in.dgain.data(), in.dbias.data(), in.y, in.x, in.mean.data(), in.inverse.data(),
                                     in.gain.data());
    });
    measure("eigen/normalize/rms/forward", rows, width, 1, eigen_rms);
    measure("eigen/normalize/rms/backward", rows, width, 2, eigen_rms_backward);
    measure("naive/normalize/rms/forward", rows, width, 1, naive_rms);
  }
}
