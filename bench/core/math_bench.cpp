// SPDX-License-Identifier: MIT
#include <formwork/core/dual.hpp>
#include <formwork/core/matrix.hpp>
#include <formwork/core/random.hpp>
#include <formwork/core/reduce.hpp>

#include "support/bench.hpp"

#include <cmath>
#include <numeric>
#include <string>

namespace fw = formwork;
using fw::Index;

// Elementwise functions over numbers that fit in the first-level cache, and reductions and random numbers over ones that
// fit in the second: read bytes/s, a row of ours beside Eigen's and a loop over the standard library's.

namespace {

constexpr Index count = 2048;

template <class S>
fw::matrix<S> inputs() {
  fw::matrix<S> x(1, count);
  fw::rng(1).fill_uniform(x, -8, 8);
  return x;
}

template <class S>
std::string name_of() {
  return sizeof(S) == 4 ? "/float" : "/double";
}

/// y = f(x) by whole packs.
template <class S, class F>
void ours(const std::string& name, F f) {
  bench::row("math/" + name + name_of<S>(), {.bytes = double(count * sizeof(S))}, [f] {
    return [f, x = inputs<S>(), y = fw::matrix<S>(1, count)]() mutable {
      using P = fw::pack<S>;
      for (Index i = 0; i < count; i += P::size) f(P::load(x.data() + i)).store(y.data() + i);
      bench::keep(y.data());
    };
  });
}
template <class S, class F>
void eigens(const std::string& name, F f) {
  bench::row("eigen/math/" + name + name_of<S>(), {.bytes = double(count * sizeof(S))}, [f] {
    return [f, x = inputs<S>(), y = fw::matrix<S>(1, count)]() mutable {
      fw::eigen(y).array() = f(fw::eigen(x).array());
      bench::keep(y.data());
    };
  });
}
template <class S, class F>
void naive(const std::string& name, F f) {
  bench::row("naive/math/" + name + name_of<S>(), {.bytes = double(count * sizeof(S))}, [f] {
    return [f, x = inputs<S>(), y = fw::matrix<S>(1, count)]() mutable {
      for (Index i = 0; i < count; ++i) y.data()[i] = f(x.data()[i]);
      bench::keep(y.data());
    };
  });
}

template <class S>
void functions() {
  ours<S>("exp2_nonpositive", [](auto x) { return exp2_nonpositive(-abs(x)); });
  ours<S>("exp", [](auto x) { return exp(x); });
  eigens<S>("exp", [](const auto& x) { return x.exp(); });
  naive<S>("exp", [](S x) { return std::exp(x); });
  ours<S>("log", [](auto x) { return log(abs(x)); });
  eigens<S>("log", [](const auto& x) { return x.abs().log(); });
  naive<S>("log", [](S x) { return std::log(std::abs(x)); });
  ours<S>("tanh", [](auto x) { return tanh(x); });
  eigens<S>("tanh", [](const auto& x) { return x.tanh(); });
  naive<S>("tanh", [](S x) { return std::tanh(x); });
  ours<S>("sigmoid", [](auto x) { return sigmoid(x); });
  eigens<S>("sigmoid", [](const auto& x) { return x.logistic(); });
  naive<S>("sigmoid", [](S x) { return 1 / (1 + std::exp(-x)); });
  ours<S>("erf", [](auto x) { return erf(x); });
  naive<S>("erf", [](S x) { return std::erf(x); });
  ours<S>("softplus", [](auto x) { return softplus(x); });
  ours<S>("times_sigmoid", [](auto x) { return times_sigmoid(x); });
  ours<S>("times_sigmoid/slope", [](auto x) { return times_sigmoid(fw::dual(x, decltype(x)(1))).slope; });
  naive<S>("times_sigmoid", [](S x) { return x / (1 + std::exp(-x)); });
  ours<S>("times_normal_cdf", [](auto x) { return times_normal_cdf(x); });
  ours<S>("times_normal_cdf/slope", [](auto x) { return times_normal_cdf(fw::dual(x, decltype(x)(1))).slope; });
  naive<S>("times_normal_cdf", [](S x) { return x / 2 * std::erfc(-x * S(0.70710678118654752)); });
  ours<S>("sin", [](auto x) { return sin(x); });
  eigens<S>("sin", [](const auto& x) { return x.sin(); });
  naive<S>("sin", [](S x) { return std::sin(x); });
}

template <class S>
void reductions() {
  constexpr Index n = 65'536;
  const auto row = [](const std::string& name, auto f) {
    bench::row(name + name_of<S>(), {.bytes = double(n * sizeof(S))}, [f] {
      fw::matrix<S> x(64, n / 64), sums(1, n / 64);
      fw::rng(2).fill_normal(x, 1);
      return [f, x, sums]() mutable {
        bench::keep(f(x, sums));
        bench::keep(sums.data());
      };
    });
  };
  using matrix = fw::matrix<S>;
  row("reduce/sum", [](matrix& x, matrix&) { return fw::sum(x.data(), n); });
  row("eigen/reduce/sum", [](matrix& x, matrix&) { return fw::eigen(x).sum(); });
  row("naive/reduce/sum", [](matrix& x, matrix&) { return std::accumulate(x.data(), x.data() + n, S(0)); });
  row("reduce/sum_of_squares", [](matrix& x, matrix&) { return fw::sum_of_squares(x.data(), n); });
  row("eigen/reduce/sum_of_squares", [](matrix& x, matrix&) { return fw::eigen(x).squaredNorm(); });
  row("reduce/largest", [](matrix& x, matrix&) { return fw::largest(x.data(), n); });
  row("eigen/reduce/largest", [](matrix& x, matrix&) { return fw::eigen(x).maxCoeff(); });
  row("reduce/columns", [](matrix& x, matrix& sums) {
    fw::add_column_sums(sums.data(), x);
    return 0;
  });
  row("eigen/reduce/columns", [](matrix& x, matrix& sums) {
    fw::eigen(sums) = fw::eigen(x).colwise().sum();
    return 0;
  });
}

template <class S>
void random_numbers() {
  constexpr Index n = 65'536;
  const auto row = [](const std::string& name, auto f) {
    bench::row("random/" + name + name_of<S>(), {.bytes = double(n * sizeof(S))}, [f] {
      return [f, x = fw::matrix<S>(64, n / 64), source = fw::rng(3)]() mutable {
        f(source, x);
        bench::keep(x.data());
      };
    });
  };
  using matrix = fw::matrix<S>;
  row("uniform", [](fw::rng& source, matrix& x) { source.fill_uniform(x, 0, 1); });
  row("normal", [](fw::rng& source, matrix& x) { source.fill_normal(x, 1); });
  row("truncated_normal", [](fw::rng& source, matrix& x) { source.fill_truncated_normal(x, 1); });
  row("dropout", [](fw::rng&, matrix& x) {
    const fw::dropout_mask mask(1, 2, 3, 0.1);
    for (Index i = 0; i < x.rows(); ++i) mask.row(x.row(i), x.cols(), 0, i);
  });
}

}  // namespace

void bench::rows() {
  functions<float>();
  functions<double>();
  reductions<float>();
  reductions<double>();
  random_numbers<float>();
}
