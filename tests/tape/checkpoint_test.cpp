// SPDX-License-Identifier: MIT
#include <formwork/tape.hpp>

#include <cstring>
#include <tuple>

#include "support/catch.hpp"

namespace fw = formwork;

namespace {

struct two_products {
  fw::parameter<double> a, b;
  fw::var<double> operator()(const fw::var<double>& x) const {
    fw::tape<double>& t = x.tape();
    const auto u = fw::map(fw::product(x, fw::use(t, a)), [](auto v) { return tanh(v); });
    return fw::add(x, fw::product(u, fw::use(t, b)));
  }
  template <class M>
  static auto fields(M& m) {
    return fw::fields("a", m.a, "b", m.b);
  }
};

fw::matrix<double> numbers(fw::Index rows, fw::Index cols, double phase) {
  fw::matrix<double> m(rows, cols);
  for (fw::Index i = 0; i < m.size(); ++i) m.data()[i] = std::sin(phase + double(i));
  return m;
}

}  // namespace

TEST_CASE("recomputing gives the gradients of recording, bit for bit") {
  two_products module{{numbers(6, 4, 1), fw::role::matrix}, {numbers(4, 6, 2), fw::role::matrix}};
  const auto gradients = [&](bool recompute) {
    fw::for_each_parameter(module, [](auto& p) { p.mark_stale(); });
    fw::tape<double> t;
    const auto x = t.input(numbers(5, 6, 3));
    const auto once = recompute ? fw::checkpoint(x, [&](const auto& u) { return module(u); }) : module(x);
    const auto twice = recompute ? fw::checkpoint(once, [&](const auto& u) { return module(u); }) : module(once);
    t.backward(fw::sum(fw::multiply(twice, twice)));
    return std::tuple(fw::matrix<double>(x.gradient()), fw::matrix<double>(std::as_const(module.a).gradient()),
                      fw::matrix<double>(std::as_const(module.b).gradient()));
  };
  const auto recorded = gradients(false), recomputed = gradients(true);
  const auto same = [](const auto& p, const auto& q) {
    return std::memcmp(p.data(), q.data(), std::size_t(p.size()) * sizeof(double)) == 0;
  };
  CHECK(same(std::get<0>(recorded), std::get<0>(recomputed)));
  CHECK(same(std::get<1>(recorded), std::get<1>(recomputed)));
  CHECK(same(std::get<2>(recorded), std::get<2>(recomputed)));
}

TEST_CASE("recomputing keeps only the input") {
  two_products module{{numbers(64, 256, 1), fw::role::matrix}, {numbers(256, 64, 2), fw::role::matrix}};
  const auto kept = [&](bool recompute) {
    fw::tape<double> t;
    const auto x = t.input(numbers(128, 64, 3));
    const auto y = recompute ? fw::checkpoint(x, [&](const auto& u) { return module(u); }) : module(x);
    return fw::pool::instance().statistics().in_use;
  };
  CHECK(kept(true) + 128 * 256 * sizeof(double) < kept(false));
}
