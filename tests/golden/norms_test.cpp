// SPDX-License-Identifier: MIT
#include <formwork/kernel/normalize.hpp>

#include <string>

#include "golden/golden.hpp"
#include "support/catch.hpp"

namespace fw = formwork;
using fw::Index;
using matrix = fw::matrix<double>;

namespace {

constexpr double rms_epsilon = 1e-6, layer_epsilon = 1e-5;

/// One case of the file, and room for what the kernels give.
struct norm_case {
  golden::file file{"norms"};
  std::string name;
  matrix x = file[name + ".input.x"], gain = file[name + ".input.gain"], upstream = file[name + ".upstream.y"];
  matrix y{x.rows(), x.cols()}, sum{x.rows(), x.cols()}, mean{x.rows(), 1}, inverse{x.rows(), 1};
  matrix dx{x.rows(), x.cols()}, dgain{1, x.cols()}, dbias{1, x.cols()};

  norm_case(const char* norm, Index width) : name(norm + std::string("_") + std::to_string(width)) {}

  /// In a row of one number all but a part in 10^6, by epsilon, of rms_norm's gradient cancels, in PyTorch's as in ours.
  void check(const matrix& got, const char* tensor) const {
    INFO(name << tensor);
    CHECK(golden::error(got, file[name + tensor]) <= (x.cols() == 1 ? 1e-9 : 1e-13));
  }
};

}  // namespace

TEST_CASE("rms_norm, its gradients, and its sum with a residual are PyTorch's") {
  const Index width = GENERATE(24, 37, 1);
  norm_case c("rms_norm", width);
  fw::rms_norm_forward<double>(c.y, c.inverse.data(), c.x, c.gain.data(), rms_epsilon);
  fw::rms_norm_backward<double>(c.dx, c.dgain.data(), c.upstream, c.x, c.inverse.data(), c.gain.data());
  c.check(c.y, ".output.y");
  c.check(c.dx, ".grad.x");
  c.check(c.dgain, ".grad.gain");

  norm_case a("add_rms_norm", width);
  const matrix residual = a.file[a.name + ".input.residual"], upstream_sum = a.file[a.name + ".upstream.sum"];
  fw::add_rms_norm_forward<double>(a.sum, a.y, a.inverse.data(), a.x, residual, a.gain.data(), rms_epsilon);
  fw::add_rms_norm_backward<double>(a.dx, a.dgain.data(), a.upstream, upstream_sum, a.sum, a.inverse.data(),
                                    a.gain.data());
  a.check(a.sum, ".output.sum");
  a.check(a.y, ".output.y");
  a.check(a.dx, ".grad.x");
  a.check(a.dx, ".grad.residual");
  a.check(a.dgain, ".grad.gain");
}

TEST_CASE("layer_norm, its gradients, and its sum with a residual are PyTorch's") {
  const Index width = GENERATE(24, 37, 1);
  norm_case c("layer_norm", width);
  const matrix bias = c.file[c.name + ".input.bias"];
  fw::layer_norm_forward<double>(c.y, c.mean.data(), c.inverse.data(), c.x, c.gain.data(), bias.data(), layer_epsilon);
  fw::layer_norm_backward<double>(c.dx, c.dgain.data(), c.dbias.data(), c.upstream, c.x, c.mean.data(),
                                  c.inverse.data(), c.gain.data());
  c.check(c.y, ".output.y");
  c.check(c.dx, ".grad.x");
  c.check(c.dgain, ".grad.gain");
  c.check(c.dbias, ".grad.bias");

  norm_case a("add_layer_norm", width);
  const matrix residual = a.file[a.name + ".input.residual"], upstream_sum = a.file[a.name + ".upstream.sum"];
  const matrix add_bias = a.file[a.name + ".input.bias"];
  fw::add_layer_norm_forward<double>(a.sum, a.y, a.mean.data(), a.inverse.data(), a.x, residual, a.gain.data(),
                                     add_bias.data(), layer_epsilon);
  fw::add_layer_norm_backward<double>(a.dx, a.dgain.data(), a.dbias.data(), a.upstream, upstream_sum, a.sum,
                                      a.mean.data(), a.inverse.data(), a.gain.data());
  a.check(a.sum, ".output.sum");
  a.check(a.y, ".output.y");
  a.check(a.dx, ".grad.x");
  a.check(a.dx, ".grad.residual");
  a.check(a.dgain, ".grad.gain");
  a.check(a.dbias, ".grad.bias");
}

TEST_CASE("layer_norm without a bias is PyTorch's") {
  norm_case c("layer_norm_no_bias", GENERATE(24, 37, 1));
  fw::layer_norm_forward<double>(c.y, c.mean.data(), c.inverse.data(), c.x, c.gain.data(), nullptr, layer_epsilon);
  fw::layer_norm_backward<double>(c.dx, c.dgain.data(), nullptr, c.upstream, c.x, c.mean.data(), c.inverse.data(),
                                  c.gain.data());
  c.check(c.y, ".output.y");
  c.check(c.dx, ".grad.x");
  c.check(c.dgain, ".grad.gain");
}
