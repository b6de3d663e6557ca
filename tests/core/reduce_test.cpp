// SPDX-License-Identifier: MIT
#include <formwork/core/reduce.hpp>

#include "support/catch.hpp"

#include <algorithm>
#include <cstring>
#include <random>
#include <vector>

namespace fw = formwork;
using fw::Index;

namespace {

template <class S>
std::vector<S> numbers(Index n, unsigned seed = 1) {
  std::mt19937 bits(seed);
  std::normal_distribution<double> normal(0.3, 2);
  std::vector<S> x(static_cast<std::size_t>(n));
  for (S& v : x) v = S(normal(bits));
  return x;
}

const std::vector<Index> lengths = {0, 1, 2, 3, 5, 15, 16, 17, 63, 64, 65, 255, 257, 2047, 2048, 2049, 8191, 8193, 100'003};

template <class S>
constexpr double unit = std::numeric_limits<S>::epsilon() / 2;

/// The documented bound in units of Σ |term|.
template <class S>
double bound() {
  return (33 + std::log2(4 * fw::lanes<S>)) * unit<S>;
}

}  // namespace

TEMPLATE_TEST_CASE("sums stay within the documented error of a long double loop", "", float, double) {
  using S = TestType;
  for (const Index n : lengths) {
    const auto x = numbers<S>(n, 1), y = numbers<S>(n, 2);
    long double s = 0, d = 0, q = 0, as = 0, ad = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const long double a = x[i], b = y[i];
      s += a, d += a * b, q += a * a, as += std::abs(a), ad += std::abs(a * b);
    }
    CAPTURE(n);
    CHECK(std::abs(fw::sum(x.data(), n) - double(s)) <= bound<S>() * double(as));
    CHECK(std::abs(fw::dot(x.data(), y.data(), n) - double(d)) <= bound<S>() * double(ad));
    CHECK(std::abs(fw::sum_of_squares(x.data(), n) - double(q)) <= bound<S>() * double(q));
  }
}

TEST_CASE("the sum of sixteen million ones and a few hundredths loses nothing") {
  std::vector<float> x(std::size_t(1) << 24, 1.0f);
  x.insert(x.end(), 4, 0.25f);
  CHECK(fw::sum(x.data(), Index(x.size())) == 16777217.0);  // a float loop stops at 16777216
}

TEMPLATE_TEST_CASE("sums have the same bits at sixteen offsets in memory", "", float, double) {
  using S = TestType;
  for (const Index n : lengths) {
    const auto x = numbers<S>(n, 3);
    std::vector<S> shifted(x.size() + 16);
    const double s = fw::sum(x.data(), n), q = fw::sum_of_squares(x.data(), n), d = fw::dot(x.data(), x.data(), n);
    for (std::size_t offset = 0; offset < 16; ++offset) {
      std::copy(x.begin(), x.end(), shifted.begin() + std::ptrdiff_t(offset));
      const S* p = shifted.data() + offset;
      CHECK(fw::sum(p, n) == s);
      CHECK(fw::sum_of_squares(p, n) == q);
      CHECK(fw::dot(p, x.data(), n) == d);
    }
  }
}

TEMPLATE_TEST_CASE("sums never read past their end", "", float, double) {
  using S = TestType;
  for (const Index n : {1, 7, 17, 65, 2049}) {
    auto x = numbers<S>(n + 20, 4);
    const auto last = x.begin() + n;
    const double s = fw::sum(x.data(), n), q = fw::sum_of_squares(x.data(), n);
    const S m = fw::largest(x.data(), n);
    std::fill(last, x.end(), std::numeric_limits<S>::quiet_NaN());
    CHECK(fw::sum(x.data(), n) == s);
    CHECK(fw::sum_of_squares(x.data(), n) == q);
    CHECK(fw::largest(x.data(), n) == m);
    CHECK(fw::all_finite(x.data(), n));
  }
}

TEMPLATE_TEST_CASE("infinities and NaN come through a sum as in a loop", "", float, double) {
  using S = TestType;
  const S infinity = std::numeric_limits<S>::infinity();
  auto x = numbers<S>(5000, 5);
  x[4000] = infinity;
  CHECK(fw::sum(x.data(), 5000) == double(infinity));
  CHECK(fw::sum_of_squares(x.data(), 5000) == double(infinity));
  x[7] = -infinity;
  CHECK(std::isnan(fw::sum(x.data(), 5000)));
}

TEMPLATE_TEST_CASE("largest finds the largest number, and NaN anywhere", "", float, double) {
  using S = TestType;
  CHECK(fw::largest(static_cast<const S*>(nullptr), 0) == -std::numeric_limits<S>::infinity());
  for (const Index n : lengths) {
    if (n == 0) continue;
    auto x = numbers<S>(n, 6);
    for (S& v : x) v -= 100;  // all negative: padding must not win
    CHECK(fw::largest(x.data(), n) == *std::max_element(x.begin(), x.end()));
    for (const Index at : {Index(0), n / 2, n - 1}) {
      const S kept = x[std::size_t(at)];
      x[std::size_t(at)] = std::numeric_limits<S>::quiet_NaN();
      CHECK(std::isnan(fw::largest(x.data(), n)));
      CHECK_FALSE(fw::all_finite(x.data(), n));
      x[std::size_t(at)] = std::numeric_limits<S>::infinity();
      CHECK(fw::largest(x.data(), n) == std::numeric_limits<S>::infinity());
      CHECK_FALSE(fw::all_finite(x.data(), n));
      x[std::size_t(at)] = kept;
    }
    CHECK(fw::all_finite(x.data(), n));
  }
}

TEMPLATE_TEST_CASE("column sums stay within the documented error, for fresh and continued outputs", "", float, double) {
  using S = TestType;
  for (const Index rows : {0, 1, 2, 127, 128, 129, 700})
    for (const Index cols : {1, 5, 16, 64, 65, 700}) {
      const auto x = numbers<S>(rows * (cols + 3), 7);
      const fw::view<const S> m(x.data(), rows, cols, cols + 3);
      std::vector<S> fresh(std::size_t(cols), std::numeric_limits<S>::quiet_NaN()), continued(std::size_t(cols), S(0.5));
      fw::add_column_sums(fresh.data(), m);
      fw::add_column_sums(continued.data(), m, fw::start::continued);
      bool good = true;
      for (Index j = 0; j < cols; ++j) {
        long double s = 0, a = 0;
        for (Index i = 0; i < rows; ++i) s += m(i, j), a += std::abs(m(i, j));
        const double limit = (128 + double(rows) / 128 + 1) * unit<S> * double(a + 0.5L);
        good = good && std::abs(double(fresh[std::size_t(j)] - s)) <= limit;
        good = good && std::abs(double(continued[std::size_t(j)] - s - 0.5L)) <= limit;
      }
      CAPTURE(rows, cols);
      CHECK(good);
    }
}

TEMPLATE_TEST_CASE("column sums have the same bits for any number of threads and any other columns beside", "", float, double) {
  using S = TestType;
  const Index rows = 1000, cols = 1100;
  const auto x = numbers<S>(rows * cols, 8);
  const fw::view<const S> m(x.data(), rows, cols);
  const int before = fw::threads();
  std::vector<S> first(static_cast<std::size_t>(cols)), other(first);
  fw::threads(1);
  fw::add_column_sums(first.data(), m);
  for (const int count : {2, 3, 8}) {
    fw::threads(count);
    fw::add_column_sums(other.data(), m);
    CHECK(std::memcmp(first.data(), other.data(), first.size() * sizeof(S)) == 0);
  }
  fw::threads(before);
  fw::add_column_sums(other.data(), m.cols(13, 90));
  CHECK(std::memcmp(first.data() + 13, other.data(), 90 * sizeof(S)) == 0);
}

TEST_CASE("column sums of a term see each element once") {
  std::vector<double> out(37);
  fw::add_column_sums(out.data(), 300, 37, fw::start::fresh, [](Index i, Index j, Index) {
    return fw::pack<double>::ramp(double(j)) + fw::pack<double>(1000.0 * double(i));
  });
  for (std::size_t j = 0; j < 37; ++j) CHECK(out[j] == 300.0 * double(j) + 1000.0 * 299 * 150);
}
