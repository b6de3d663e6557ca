// SPDX-License-Identifier: MIT
#include <formwork/tape.hpp>

#include "support/catch.hpp"

namespace fw = formwork;

namespace {
/// x² with a gradient that is wrong by the given factor.
fw::var<double> square(const fw::var<double>& x, double factor) {
  auto y = x.tape().output(x.rows(), x.cols(), x.shared_batch());
  fw::transform(y.write(), [](auto v) { return v * v; }, x.value());
  return fw::record(
      y,
      [x, factor](fw::matrix<double>& dy) {
        fw::gradient_of(x).add([&](fw::view<double> g, fw::start how) {
          const fw::pack<double> two(2 * factor);
          fw::contribute(g, how, [two](auto d, auto v) { return two * v * d; }, dy, x.value());
        });
      },
      x);
}
fw::parameter<double> values() {
  fw::matrix<double> m(1, 3);
  m(0, 0) = 0.3, m(0, 1) = -1.2, m(0, 2) = 40;
  return {std::move(m), fw::role::matrix};
}
}  // namespace

TEST_CASE("gradcheck passes a right gradient") {
  auto x = values();
  const auto report = fw::gradcheck(x, [&](fw::tape<double>& t) { return fw::sum(square(fw::use(t, x), 1)); });
  INFO(report);
  CHECK(report);
  CHECK(report.entries == 3);
  CHECK(report.worst < 1e-8);
}

TEST_CASE("gradcheck catches a gradient that is wrong by two parts in a million, and names the entry") {
  auto x = values();
  const auto report = fw::gradcheck(x, [&](fw::tape<double>& t) { return fw::sum(square(fw::use(t, x), 1 + 2e-6)); });
  CHECK_FALSE(report);
  CHECK(report.where.find("parameter[0, ") == 0);
}

TEST_CASE("gradcheck catches a gradient that is missing") {
  auto x = values();
  const auto report = fw::gradcheck(
      x, [&](fw::tape<double>& t) { return fw::sum(square(t.constant(fw::matrix<double>(std::as_const(x).value())), 1)); });
  CHECK_FALSE(report);
}
