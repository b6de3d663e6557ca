// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/feature.hpp>
#include <formwork/core/error.hpp>
#include <formwork/core/memory.hpp>

#include <cmath>

namespace formwork::inline FORMWORK_ABI {

/// How many sets of `k` there are among n.
inline double binomial(Index n, Index k) {
  double r = 1;
  for (Index i = 1; i <= k; ++i) r = r * static_cast<double>(n - k + i) / static_cast<double>(i);
  return std::round(r);
}

/// The monomials of x up to some degree, each with a factor such that
///
///   φ(q) · φ(k) = Σ_m c_m (q · k / √d)^m,   c_0 = 1,  c_m = c_{m-1} growth(m) / m
///
/// Monomials of one degree are sorted by their smallest variable, so those of degree m that start with x_i are x_i times a run of
/// those of degree m - 1: all that start with x_i or a later one.
///
/// Shapes    C(d + order, order) features for a key of d numbers: as (q · k)^m is symmetric, none twice.
/// Cost      one product and one load of a factor for each feature; twice that backward.
template <real S>
class monomials {
 public:
  template <class Growth>
  monomials(const char* name, Index key_width, Index order, Growth growth) : key_width_(key_width), order_(order) {
    const Index features = count_of(name, key_width, order);
    factors_.assign(static_cast<std::size_t>(features), S(1));
    pooled_vector<Index> leading(static_cast<std::size_t>(features), 0);  // how often the smallest variable is in it
    for (Index m = 1; m <= order; ++m)
      each_run(m, [&](Index i, Index from, Index to, Index count) {
        const Index same = m == 1 ? 0 : count - starting_at(m - 1, i + 1);  // of the run, those that start with x_i themselves
        for (Index j = 0; j < count; ++j) {
          const auto power = leading[static_cast<std::size_t>(to + j)] =
              j < same ? leading[static_cast<std::size_t>(from + j)] + 1 : 1;
          factors_[static_cast<std::size_t>(to + j)] =
              S(std::sqrt(growth(m) / static_cast<double>(power) / std::sqrt(static_cast<double>(key_width))));
        }
      });
  }

  /// Throws    argument_error for an odd order, whose weights can be negative, and for more than ten million features.
  static Index count_of(const char* name, Index key_width, Index order) {
    require(order > 0 && order % 2 == 0, name, ": order is ", order, "; needs an even one > 0, as weights of odd order can be < 0");
    const double features = binomial(key_width + order, order);
    require(features <= 1e7, name, ": order ", order, " of keys of ", key_width, " numbers has ", features,
            " features; needs a lower order or narrower keys");
    return static_cast<Index>(features);
  }

  Index width(Index) const { return static_cast<Index>(factors_.size()); }

  void forward(view<S> y, view<const S> x, side) const {
    for (Index r = 0; r < x.rows(); ++r) {
      S* const row = y.row(r);
      row[0] = 1;
      for (Index m = 1; m <= order_; ++m)
        each_run(m, [&](Index i, Index from, Index to, Index count) {
          const pack<S> number(x(r, i));
          for (Index j = 0; j < count; j += lanes<S>)
            (number * factors(to + j, count - j) * pack<S>::load(row + from + j, count - j)).store(row + to + j, count - j);
        });
    }
  }
  /// From the last run to the first: each gives its gradient to x_i and to the run it came from.
  void backward(view<S> dx, view<S> dy, view<const S> y, view<const S> x, side) const {
    for (Index r = 0; r < x.rows(); ++r) {
      S* const d = dy.row(r);
      std::fill_n(dx.row(r), x.cols(), S(0));
      for (Index m = order_; m > 0; --m)
        each_run(m, [&](Index i, Index from, Index to, Index count) {
          const pack<S> number(x(r, i));
          pack<S> total(0);
          for (Index j = 0; j < count; j += lanes<S>) {
            const pack<S> g = pack<S>::load(d + to + j, count - j) * factors(to + j, count - j);
            total = fma(g, pack<S>::load(y.row(r) + from + j, count - j), total);
            fma(g, number, pack<S>::load(d + from + j, count - j)).store(d + from + j, count - j);
          }
          dx(r, i) += sum(total);
        });
    }
  }

 private:
  /// Monomials of degree m in x_i and later ones.
  Index starting_at(Index m, Index i) const {
    return m == 0 ? 1 : i == key_width_ ? 0 : static_cast<Index>(binomial(m + key_width_ - i - 1, m));
  }
  /// f(i, from, to, count) for the runs of degree m.
  template <class F>
  void each_run(Index m, F f) const {
    const Index parents = static_cast<Index>(binomial(key_width_ + m - 1, m - 1));
    Index to = parents;
    for (Index i = 0, count; i < key_width_; ++i, to += count) {
      count = starting_at(m - 1, i);
      f(i, parents - count, to, count);
    }
  }
  pack<S> factors(Index at, Index count) const { return pack<S>::load(factors_.data() + at, count); }

  Index key_width_, order_;
  pooled_vector<S> factors_;  // of each feature beside x_i and the one it is made of
};

}  // namespace formwork
