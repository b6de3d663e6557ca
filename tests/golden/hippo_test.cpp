// SPDX-License-Identifier: MIT
#include <formwork/ssm/hippo.hpp>
#include <formwork/tape/ops.hpp>

#include <string>

#include "golden/golden.hpp"
#include "support/catch.hpp"

namespace fw = formwork;
using fw::Index;

namespace {

/// The mixer with the file's c and d, and an output that changes nothing.
template <class Basis, class Discretisation>
void is_pytorchs(const std::string& at, const Basis& basis, const Discretisation& by) {
  CAPTURE(at);
  const golden::file file("hippo");
  const auto u = file[at + ".input.u"], c = file[at + ".input.c"], d = file[at + ".input.d"];
  fw::rng random{1};
  auto m = fw::hippo<double, Basis, Discretisation>::make(fw::builder{.sizes = {.width = u.cols()}, .random = random}, basis, by,
                                                          fw::hippo_sizes{.order = c.rows()});
  std::copy_n(c.data(), c.size(), m.readout.value().data());
  std::copy_n(d.data(), d.size(), m.skip.value().data());
  fw::fill(m.output.weight.value(), 0.0);
  for (Index i = 0; i < u.cols(); ++i) m.output.weight.value()(i, i) = 1;

  fw::tape<double> t;
  const auto in = t.input(fw::matrix<double>(u), file.lengths("lengths"));
  const auto y = m(in);
  CHECK(golden::error(y.value(), file[at + ".output.y"]) <= 1e-13);
  t.backward(fw::sum(fw::multiply(y, t.constant(file[at + ".upstream.y"], file.lengths("lengths")))));
  CHECK(golden::error(in.gradient(), file[at + ".grad.u"]) <= 1e-13);
  CHECK(golden::error(m.readout.gradient(), file[at + ".grad.c"]) <= 1e-13);
  CHECK(golden::error(m.skip.gradient(), file[at + ".grad.d"]) <= 1e-13);
}

}  // namespace

TEST_CASE("hippo's outputs and gradients are PyTorch's") {
  is_pytorchs("legs_bilinear", fw::legs{}, fw::bilinear{});
  is_pytorchs("legs_backward_euler", fw::legs{}, fw::backward_euler{});
  is_pytorchs("legs_zero_order_hold", fw::legs{}, fw::zero_order_hold{});
  is_pytorchs("legt_bilinear", fw::legt{.window = 5}, fw::bilinear{});
  is_pytorchs("lagt_backward_euler", fw::lagt{.scale = 5}, fw::backward_euler{});
  is_pytorchs("fourier_zero_order_hold", fw::fourier{.window = 5}, fw::zero_order_hold{});
}
