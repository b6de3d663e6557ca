// SPDX-License-Identifier: MIT
#include <formwork/kernel/softmax.hpp>

#include "kernel/sweep.hpp"

using namespace checks;

namespace {

template <class S>
struct results {
  fw::matrix<S> y, lse, dx;
};

template <class S>
results<S> naive(const fw::matrix<S>& x, const fw::matrix<S>& dy, S old = 0) {
  results<S> r{x, fw::matrix<S>(1, x.rows()), x};
  for (Index i = 0; i < x.rows(); ++i) {
    S most = -std::numeric_limits<S>::infinity(), sum = 0, along = 0;
    for (Index j = 0; j < x.cols(); ++j) most = std::max(most, x(i, j));
    for (Index j = 0; j < x.cols(); ++j) sum += std::exp(x(i, j) - most);
    for (Index j = 0; j < x.cols(); ++j) r.y(i, j) = std::exp(x(i, j) - most) / sum, along += r.y(i, j) * dy(i, j);
    for (Index j = 0; j < x.cols(); ++j) r.dx(i, j) = old + r.y(i, j) * (dy(i, j) - along);
    r.lse(0, i) = most + std::log(sum);
  }
  return r;
}

template <class S>
results<S> ours(const fw::matrix<S>& x, const fw::matrix<S>& dy, fw::start how = fw::start::fresh, S old = 0,
                places at = {}) {
  auto from = at(x), gradient = at(dy), y = at.template output<S>(x.rows(), x.cols());
  auto lse = at.template output<S>(1, x.rows());
  auto dx = at(fw::matrix<S>(x.rows(), x.cols(), how == fw::start::fresh ? std::numeric_limits<S>::quiet_NaN() : old));
  fw::softmax_forward<S>(y, lse.data(), from);
  fw::softmax_backward<S>(dx, gradient, y, how);
  return {y.copy(), lse.copy(), dx.copy()};
}

void random_case(trial& t) {
  const Index rows = t.size(60, 0), width = t.size(3000, 0);
  const double spread = t.any({0.1, 4.0, 30.0});
  const auto how = t.any({fw::start::fresh, fw::start::continued});
  const float old = how == fw::start::fresh ? 0 : 2;
  numbers r(t.seed());
  const auto x = r.matrix<float>(rows, width, spread), dy = r.matrix<float>(rows, width);
  const auto wide_x = as<double>(x), wide_dy = as<double>(dy);
  const auto a = ours(x, dy, how, old, t.anywhere()), b = naive(x, dy, old);
  const auto c = naive<double>(wide_x, wide_dy, old), d = ours<double>(wide_x, wide_dy, how, old, t.anywhere());
  t.accurate("y", a.y, b.y, c.y, 2), t.accurate("y", d.y, c.y);
  t.accurate("lse", a.lse, b.lse, c.lse, 2, 1), t.accurate("lse", d.lse, c.lse);
  t.accurate("dx", a.dx, b.dx, c.dx, 3), t.accurate("dx", d.dx, c.dx);
}

}  // namespace

TEST_CASE("softmax of 1, 2, 3 is what a table gives") {
  fw::matrix<double> x(1, 3), y(1, 3), lse(1, 1);
  x(0, 0) = 1, x(0, 1) = 2, x(0, 2) = 3;
  fw::softmax_forward<double>(y, lse.data(), x);
  CHECK(std::abs(y(0, 0) - .09003057317038) <= 1e-14);
  CHECK(std::abs(y(0, 1) - .24472847105479) <= 1e-14);
  CHECK(std::abs(y(0, 2) - .66524095577482) <= 1e-14);
  CHECK(std::abs(lse(0, 0) - 3.40760596444438) <= 1e-14);
}

TEMPLATE_TEST_CASE("softmax is as accurate as a naive loop at every width around the lanes", "", float, double) {
  using S = TestType;
  for (const Index width : {1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 33, 63, 65, 129, 1000, 5000}) {
    numbers r(std::uint64_t(width) + 1);
    const auto x = r.matrix<S>(6, width, 4), dy = r.matrix<S>(6, width);
    const auto a = ours(x, dy), b = naive(x, dy), d = ours<S>(x, dy, fw::start::continued, 2);
    const auto c = naive(as<double>(x), as<double>(dy));
    check_accuracy("y", a.y, b.y, c.y, 2);
    check_accuracy("lse", a.lse, b.lse, c.lse, 2);
    check_accuracy("dx", a.dx, b.dx, c.dx, 3);
    check_accuracy("dx continued", d.dx, naive<S>(x, dy, 2).dx, naive<double>(as<double>(x), as<double>(dy), 2).dx, 3);
  }
}

TEST_CASE("softmax is as accurate as the rule asks over random shapes") { sweep(few_cases, random_case); }
TEST_CASE("softmax is as accurate as the rule asks over 2000 random shapes", "[.slow]") {
  sweep(many_cases, random_case);
}

TEST_CASE("softmax's gradient is central differences and sums to zero") {
  numbers r(2);
  auto x = r.matrix<double>(3, 19);
  const auto dy = r.matrix<double>(3, 19);
  const auto g = ours(x, dy);
  check_gradient("x", x, g.dx, [&] {
    const auto y = ours(x, dy).y;
    double sum = 0;
    for (Index i = 0; i < y.size(); ++i) sum += y.data()[i] * dy.data()[i];
    return sum;
  });
  for (Index i = 0; i < 3; ++i) {
    double sum = 0;
    for (Index j = 0; j < 19; ++j) sum += g.dx(i, j);
    CHECK(std::abs(sum) <= 1e-15);
  }
}

TEMPLATE_TEST_CASE("softmax: -infinity gives exactly 0, a row of it zeros and zero gradients, and large numbers no overflow", "", float, double) {
  using S = TestType;
  const S infinity = std::numeric_limits<S>::infinity();
  numbers r(3);
  auto x = r.matrix<S>(4, 37);
  const auto dy = r.matrix<S>(4, 37);
  for (Index j = 0; j < 37; ++j) x(1, j) = -infinity, x(2, j) *= S(1e30), x(3, j) -= S(1e5);
  x(0, 3) = x(0, 36) = -infinity;
  const auto a = ours(x, dy);
  CHECK((a.y(0, 3) == 0 && a.y(0, 36) == 0 && a.dx(0, 36) == 0));
  CHECK(a.lse(0, 1) == -infinity);
  for (Index j = 0; j < 37; ++j) {
    CHECK((a.y(1, j) == 0 && a.dx(1, j) == 0));
    CHECK((std::isfinite(a.y(2, j)) && std::isfinite(a.dx(2, j)) && std::isfinite(a.y(3, j))));
  }
  fw::matrix<S> none(2, 0), lse(2, 1);
  fw::softmax_forward<S>(none, lse.data(), none);
  CHECK(lse(1, 0) == -infinity);
}

TEMPLATE_TEST_CASE("softmax: bits do not depend on threads, batch, alignment, or on working in place", "", float, double) {
  using S = TestType;
  numbers r(4);
  const auto x = r.matrix<S>(90, 70, 3), dy = r.matrix<S>(90, 70);
  const auto all = ours(x, dy);
  check_threads("y", [&] { return ours(x, dy).y; });
  check_threads("dx", [&] { return ours(x, dy).dx; });
  for (const Index i : {0, 1, 57, 58, 89}) {
    const auto one = ours(fw::matrix<S>(x.rows(i, 1)), fw::matrix<S>(dy.rows(i, 1)));
    CHECK(same_bits(one.y, fw::matrix<S>(all.y.rows(i, 1))));
    CHECK(same_bits(one.dx, fw::matrix<S>(all.dx.rows(i, 1))));
  }
  for (Index offset = 0; offset < 16; ++offset) {
    shifted<S> y(x, offset, offset % 3), d(dy, 15 - offset);
    fw::softmax_forward<S>(y.view(), nullptr, y.view());
    CHECK(same_bits(y.copy(), all.y));
    fw::softmax_backward<S>(d.view(), d.view(), y.view());
    CHECK(same_bits(d.copy(), all.dx));
  }
}
