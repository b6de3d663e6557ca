// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/matrix.hpp>
#include <formwork/core/parallel.hpp>

#include "support/catch.hpp"

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

// What the tests of kernels share: reproducible numbers, the accuracy rule, central differences, and the bitwise laws.

namespace checks {

namespace fw = formwork;
using fw::Index;

/// Numbers of about unit size, not from the library: splitmix64, sums of four uniforms.
class numbers {
 public:
  explicit numbers(std::uint64_t seed) : state_(seed) {}
  double uniform() { return static_cast<double>(next() >> 11) * 0x1p-53; }
  double normal() { return (uniform() + uniform() + uniform() + uniform() - 2) * 1.7320508; }
  Index below(Index n) { return static_cast<Index>(next() % static_cast<std::uint64_t>(n)); }
  template <class S>
  fw::matrix<S> matrix(Index rows, Index cols, double scale = 1, double offset = 0) {
    fw::matrix<S> m(rows, cols);
    for (Index i = 0; i < m.size(); ++i) m.data()[i] = static_cast<S>(static_cast<float>(offset + scale * normal()));
    return m;
  }

 private:
  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  std::uint64_t state_;
};

/// The same numbers in another precision. numbers::matrix gives floats in either, so that nothing is lost.
template <class S, class T>
fw::matrix<S> as(const fw::matrix<T>& m) {
  fw::matrix<S> r(m.rows(), m.cols());
  for (Index i = 0; i < m.size(); ++i) r.data()[i] = static_cast<S>(m.data()[i]);
  return r;
}

template <class S>
fw::matrix<S> transposed(const fw::matrix<S>& m) {
  fw::matrix<S> t(m.cols(), m.rows());
  for (Index i = 0; i < m.rows(); ++i)
    for (Index j = 0; j < m.cols(); ++j) t(j, i) = m(i, j);
  return t;
}

template <class S>
bool same_bits(const fw::matrix<S>& a, const fw::matrix<S>& b) {
  return a.rows() == b.rows() && a.cols() == b.cols() &&
         (a.size() == 0 || std::memcmp(a.data(), b.data(), static_cast<std::size_t>(a.size()) * sizeof(S)) == 0);
}

/// The largest |a - b|, and the largest |b|.
template <class S, class T>
double largest_error(const fw::matrix<S>& a, const fw::matrix<T>& b) {
  double most = 0;
  for (Index i = 0; i < b.size(); ++i) {
    const double e = std::abs(static_cast<double>(a.data()[i]) - static_cast<double>(b.data()[i]));
    if (!(e <= most)) most = e;
  }
  return most;
}
template <class S>
double largest_of(const fw::matrix<S>& b) {
  double most = 0;
  for (Index i = 0; i < b.size(); ++i) most = std::max(most, std::abs(static_cast<double>(b.data()[i])));
  return most;
}

/// The accuracy rule: ours, in S, is at most `times` as far from the double oracle as the naive loop in S, + 4 eps.
template <class S>
void check_accuracy(const char* what, const fw::matrix<S>& ours, const fw::matrix<S>& naive, const fw::matrix<double>& oracle,
                    double times) {
  INFO(what << " " << oracle.rows() << " × " << oracle.cols());
  const double eps = std::numeric_limits<S>::epsilon();
  // In double the oracle is the naive loop itself, with rounding errors of its own.
  const double allowed = std::is_same_v<S, double> ? 64 * eps * largest_of(oracle)
                                                   : times * largest_error(naive, oracle) + 4 * eps * largest_of(oracle);
  CHECK(largest_error(ours, oracle) <= allowed + 1e-300);
}

/// Gradient against central differences of a scalar function of x, every entry, relative to the largest slope.
template <class F>
void check_gradient(const char* what, fw::matrix<double>& x, const fw::matrix<double>& gradient, F objective,
                    double bound = 1e-6) {
  INFO(what);
  double most = 0, error = 0;
  for (Index i = 0; i < x.size(); ++i) {
    double& at = x.data()[i];
    const double kept = at, h = 1e-5 * std::max(1.0, std::abs(kept));
    const auto side = [&](double by) {
      at = kept + by;
      const double value = objective();
      at = kept;
      return value;
    };
    // Fourth order, so that the step can stay large.
    const double slope = (8 * (side(h) - side(-h)) - (side(2 * h) - side(-2 * h))) / (12 * h);
    most = std::max(most, std::abs(slope));
    error = std::max(error, std::abs(slope - gradient.data()[i]));
  }
  CHECK(error <= bound * std::max(most, 1e-3));
}

/// f() gives a matrix; D2: the same bits on 1, 2, 3 and 8 threads.
template <class F>
void check_threads(const char* what, F f) {
  INFO(what);
  const int before = fw::threads();
  fw::threads(1);
  const auto one = f();
  for (int n : {2, 3, 8}) {
    fw::threads(n);
    CAPTURE(n);
    CHECK(same_bits(one, f()));
  }
  fw::threads(before);
}

/// A matrix at any of 16 offsets from an aligned address, rows `gap` apart: D5. Around it lies NaN, which a kernel that
/// reads there would spread; one that writes there is found out.
template <class S>
class shifted {
 public:
  explicit shifted(const fw::matrix<S>& m, Index offset = 0, Index gap = 0)
      : memory_(1, m.rows() * (m.cols() + gap) + offset + 64, around),
        rows_(m.rows()),
        cols_(m.cols()),
        offset_(offset),
        stride_(m.cols() + gap) {
    for (Index i = 0; i < rows_; ++i) std::copy_n(m.row(i), cols_, view().row(i));
  }
  fw::view<S> view() { return {memory_.data() + offset_, rows_, cols_, stride_}; }
  operator fw::view<S>() { return view(); }
  operator fw::view<const S>() { return view(); }
  S* data() { return view().data(); }
  fw::matrix<S> copy() {
    if (!intact())
      FAIL_CHECK("written beside a matrix (" << rows_ << " × " << cols_ << "), rows " << stride_ << " apart");
    return fw::matrix<S>(fw::view<const S>(view()));
  }

 private:
  static constexpr S around = std::numeric_limits<S>::quiet_NaN();

  bool intact() const {
    auto rest = memory_;
    for (Index i = 0; i < rows_; ++i) std::fill_n(rest.data() + offset_ + i * stride_, cols_, around);
    return same_bits(rest, fw::matrix<S>(1, rest.size(), around));
  }

  fw::matrix<S> memory_;
  Index rows_, cols_, offset_, stride_;
};

/// Puts matrices into memory: aligned and without gaps, or anywhere by numbers.
class places {
 public:
  places() = default;
  explicit places(numbers& random) : random_(&random) {}

  template <class S>
  shifted<S> operator()(const fw::matrix<S>& m) {
    if (!random_) return shifted<S>(m);
    const Index offset = random_->below(16), gap = std::max<Index>(0, random_->below(15) - 7);
    return shifted<S>(m, offset, gap);
  }
  /// An output, whose old content a kernel must not read.
  template <class S>
  shifted<S> output(Index rows, Index cols) {
    return (*this)(fw::matrix<S>(rows, cols, std::numeric_limits<S>::quiet_NaN()));
  }

 private:
  numbers* random_ = nullptr;
};

}  // namespace checks
