// SPDX-License-Identifier: MIT
#include <formwork/kernel/elementwise.hpp>

#include "kernel/checks.hpp"

using namespace checks;

namespace {

/// A user's formula: x tanh(x), slope tanh(x) + x / cosh²(x).
struct formula {
  template <class T>
  T operator()(T x) const {
    return x * tanh(x);
  }
};
template <class T>
T value(T x) {
  return x * std::tanh(x);
}
template <class T>
T slope(T x) {
  return std::tanh(x) + x / (std::cosh(x) * std::cosh(x));
}

template <class S>
struct results {
  fw::matrix<S> y, dx, gated, dg, du;
};

template <class S>
results<S> naive(const fw::matrix<S>& x, const fw::matrix<S>& u, const fw::matrix<S>& dy, S old) {
  results<S> r{x, x, x, x, x};
  for (Index i = 0; i < x.size(); ++i) {
    const S g = x.data()[i], up = u.data()[i], d = dy.data()[i];
    r.y.data()[i] = value(g);
    r.dx.data()[i] = old + d * slope(g);
    r.gated.data()[i] = value(g) * up;
    r.dg.data()[i] = old + d * up * slope(g);
    r.du.data()[i] = old + d * value(g);
  }
  return r;
}

template <class S>
results<S> ours(fw::view<const S> x, fw::view<const S> u, fw::view<const S> dy, fw::start how, S old) {
  const fw::matrix<S> before(x.rows(), x.cols(), how == fw::start::fresh ? std::numeric_limits<S>::quiet_NaN() : old);
  results<S> r{before, before, before, before, before};
  fw::map_forward<S>(r.y, formula{}, x);
  fw::map_backward<S>(r.dx, formula{}, dy, x, how);
  fw::gate_forward<S>(r.gated, formula{}, x, u);
  fw::gate_backward<S>(r.dg, r.du, formula{}, dy, x, u, how, how);
  return r;
}

template <class S>
bool same(const results<S>& a, const results<S>& b) {
  return same_bits(a.y, b.y) && same_bits(a.dx, b.dx) && same_bits(a.gated, b.gated) && same_bits(a.dg, b.dg) && same_bits(a.du, b.du);
}

}  // namespace

TEMPLATE_TEST_CASE("elementwise formulas and their slopes are as accurate as a naive loop at sizes around the lanes", "", float, double) {
  using S = TestType;
  for (const auto& [rows, cols] : std::vector<std::pair<Index, Index>>{{0, 3}, {3, 0}, {1, 1}, {1, 15}, {2, 16}, {3, 17}, {5, 4100}})
    for (const auto how : {fw::start::fresh, fw::start::continued}) {
      numbers r(1);
      const auto x = r.matrix<S>(rows, cols), u = r.matrix<S>(rows, cols), dy = r.matrix<S>(rows, cols);
      const S old = how == fw::start::continued ? 1 : 0;
      const auto a = ours<S>(x, u, dy, how, old), b = naive(x, u, dy, old);
      const auto c = naive(as<double>(x), as<double>(u), as<double>(dy), double(old));
      check_accuracy("y", a.y, b.y, c.y, 2);
      check_accuracy("gated", a.gated, b.gated, c.gated, 2);
      check_accuracy("dx", a.dx, b.dx, c.dx, 3);
      check_accuracy("dg", a.dg, b.dg, c.dg, 3);
      check_accuracy("du", a.du, b.du, c.du, 3);
    }
}

TEST_CASE("elementwise gradients are central differences") {
  numbers r(2);
  auto x = r.matrix<double>(3, 11), u = r.matrix<double>(3, 11);
  const auto dy = r.matrix<double>(3, 11);
  const auto g = ours<double>(x, u, dy, fw::start::fresh, 0);
  const auto along = [&](const fw::matrix<double>& y) {
    double sum = 0;
    for (Index i = 0; i < y.size(); ++i) sum += y.data()[i] * dy.data()[i];
    return sum;
  };
  const auto now = [&] { return ours<double>(x, u, dy, fw::start::fresh, 0); };
  check_gradient("x", x, g.dx, [&] { return along(now().y); });
  check_gradient("gate", x, g.dg, [&] { return along(now().gated); });
  check_gradient("up", u, g.du, [&] { return along(now().gated); });
}

TEMPLATE_TEST_CASE("elementwise: bits do not depend on threads, batch, alignment, or on working in place", "", float, double) {
  using S = TestType;
  numbers r(3);
  const auto x = r.matrix<S>(50, 301), u = r.matrix<S>(50, 301), dy = r.matrix<S>(50, 301);
  const auto all = ours<S>(x, u, dy, fw::start::fresh, 0);
  check_threads("y", [&] { return ours<S>(x, u, dy, fw::start::fresh, 0).y; });
  check_threads("dg", [&] { return ours<S>(x, u, dy, fw::start::fresh, 0).dg; });
  const auto one = ours<S>(x.rows(31, 1), u.rows(31, 1), dy.rows(31, 1), fw::start::fresh, 0);
  const auto row = [](const fw::matrix<S>& m) { return fw::matrix<S>(m.rows(31, 1)); };
  CHECK(same(one, results<S>{row(all.y), row(all.dx), row(all.gated), row(all.dg), row(all.du)}));
  for (Index offset = 0; offset < 16; ++offset) {
    shifted<S> g(x, offset, offset % 3), up(u, 15 - offset), d(dy, 5, 1);
    CHECK(same(ours<S>(g.view(), up.view(), d.view(), fw::start::fresh, 0), all));
    fw::gate_backward<S>(g.view(), up.view(), formula{}, d.view(), g.view(), up.view());
    CHECK(same_bits(g.copy(), all.dg));
    CHECK(same_bits(up.copy(), all.du));
  }
}
