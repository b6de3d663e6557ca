// SPDX-License-Identifier: MIT
#include <formwork/kernel/orthogonalize.hpp>

#include <Eigen/Eigenvalues>

#include <vector>

#include "kernel/sweep.hpp"
#include "oracle/orthogonalize.hpp"

using namespace checks;
using fw::odd_quintic;

namespace {

using iterations = std::vector<odd_quintic>;
const iterations tuned(5, fw::tuned_quintic);

template <class S>
fw::matrix<S> orthogonal(const fw::matrix<S>& x, const iterations& with = tuned, double epsilon = 1e-7) {
  fw::matrix<S> y(x.rows(), x.cols());
  fw::orthogonalize<S>(y, x, with, epsilon);
  return y;
}
template <class S>
fw::matrix<S> scaled(fw::matrix<S> x, double by) {
  for (Index i = 0; i < x.size(); ++i) x.data()[i] *= S(by);
  return x;
}

/// Singular values 1, ..., least, evenly spaced on a logarithmic scale.
fw::matrix<double> with_condition(Index rows, Index cols, double least, std::uint64_t seed) {
  const double n = double(std::min(rows, cols));
  double i = 0;
  return oracle::on_singular_values(numbers(seed).matrix<double>(rows, cols),
                                    [&](double) { return n > 1 ? std::pow(least, i++ / (n - 1)) : 1; });
}

const fw::matrix<double> six = [] {
  fw::matrix<double> g(3, 2);
  for (Index i = 0; i < 6; ++i) g.data()[i] = double(i + 1);
  return g;
}();
void check_numbers(const fw::matrix<double>& got, std::initializer_list<double> expected) {
  Index i = 0;
  for (const double e : expected) CHECK(std::abs(got.data()[i++] - e) <= 5e-9);
}

void random_case(trial& t) {
  const Index rows = t.size(150, 0), cols = t.size(150, 0);
  const auto with = t.any<iterations>(
      {tuned, {fw::tuned_quintic}, iterations(6, fw::convergent_quintic), iterations(4, fw::convergent_cubic)});
  const auto x = numbers(t.seed()).matrix<float>(rows, cols);
  const auto wide = as<double>(x), exact = oracle::newton_schulz(wide, with);
  const auto ours = [&]<class S>(const fw::matrix<S>& from) {
    places at = t.anywhere();
    auto in = at(from), y = at.template output<S>(rows, cols);
    fw::orthogonalize<S>(y, in, with);
    return y.copy();
  };
  t.accurate("orthogonalize", ours(x), oracle::newton_schulz(x, with), exact, with.size() > 3 ? 4 : 8);
  t.accurate("orthogonalize", ours(wide), exact);
}

}  // namespace

TEST_CASE("orthogonalize gives the worked numbers of [[1, 2], [3, 4], [5, 6]]") {
  check_numbers(orthogonal(six, iterations(12, fw::convergent_quintic)),
                {-.55100324, .72782468, .13615852, .56106523, .82332028, .39430578});
  check_numbers(orthogonal(six), {-.46751857, .57347331, .07243229, .40945262, .61238314, .24543194});
  check_numbers(orthogonal(six, {fw::tuned_quintic}),
                {-.02826542, .22790569, .19331946, .31675353, .41490434, .40560136});
}

TEST_CASE("the tuned quintic brings singular values into [0.68, 1.21] and leaves singular vectors alone") {
  for (const auto& [rows, cols] : std::vector<std::pair<Index, Index>>{{40, 40}, {30, 70}, {70, 30}, {30, 257}, {1, 9}, {9, 1}}) {
    CAPTURE(rows, cols);
    const auto x = with_condition(rows, cols, 0.03, 7);
    const auto y = orthogonal(x);
    const auto values = oracle::singular_values(y);
    CHECK(values.minCoeff() >= .68);
    CHECK(values.maxCoeff() <= 1.21);
    double norm = 0;
    for (Index i = 0; i < x.size(); ++i) norm += x.data()[i] * x.data()[i];
    const auto five_times = [&](double s) {
      s /= std::sqrt(norm) + 1e-7;
      for (const auto& [a, b, c] : tuned) s = a * s + b * s * s * s + c * s * s * s * s * s;
      return s;
    };
    CHECK(largest_error(y, oracle::on_singular_values(x, five_times)) <= 1e-10);
  }
}

TEST_CASE("convergent coefficients give msign, which is (M Mᵀ)^(-1/2) M") {
  for (const auto& [rows, cols] : std::vector<std::pair<Index, Index>>{{24, 24}, {12, 50}, {50, 12}, {1, 7}, {7, 1}}) {
    CAPTURE(rows, cols);
    const auto x = with_condition(rows, cols, 0.05, 3);
    const auto sign = oracle::msign(x);
    CHECK(largest_error(orthogonal(x, iterations(14, fw::convergent_quintic)), sign) <= 1e-10);
    CHECK(largest_error(orthogonal(x, iterations(22, fw::convergent_cubic)), sign) <= 1e-10);
    // A list may mix: fast first, then convergent.
    iterations mixed = tuned;
    mixed.insert(mixed.end(), 6, fw::convergent_quintic);
    CHECK(largest_error(orthogonal(x, mixed), sign) <= 1e-10);
    if (rows > cols) continue;
    const Eigen::SelfAdjointEigenSolver<oracle::dense> gram(fw::eigen(x) * fw::eigen(x).transpose());
    fw::matrix<double> root(rows, cols);
    fw::eigen(root) = gram.operatorInverseSqrt() * fw::eigen(x);
    CHECK(largest_error(sign, root) <= 1e-10);
  }
}

TEST_CASE("orthogonalize keeps a diagonal's signs, a vector's direction, and what has no rank") {
  fw::matrix<double> diagonal(3, 3, 0.0), vector(1, 3);
  const double entries[] = {2, -0.5, 1};
  for (Index i = 0; i < 3; ++i) diagonal(i, i) = vector(0, i) = entries[i];
  const iterations exact(14, fw::convergent_quintic);
  const auto signs = orthogonal(diagonal, exact), unit = orthogonal(vector, exact);
  for (Index i = 0; i < 3; ++i) {
    for (Index j = 0; j < 3; ++j) CHECK(std::abs(signs(i, j) - (i == j ? std::copysign(1, entries[i]) : 0)) <= 1e-10);
    CHECK(std::abs(unit(0, i) - entries[i] / std::sqrt(5.25)) <= 1e-10);
  }
  // Rank 2 of 20: the other directions stay 0 however many iterations try to enlarge their rounding errors.
  numbers r(5);
  const auto low = oracle::multiply(r.matrix<double>(20, 2), r.matrix<double>(2, 30));
  CHECK(largest_error(orthogonal(low, iterations(40, fw::convergent_cubic)), oracle::msign(low)) <= 1e-6);
  CHECK(largest_error(orthogonal(as<float>(low), iterations(14, fw::convergent_quintic)), oracle::msign(low)) <= 1e-2);
}

TEMPLATE_TEST_CASE("orthogonalize gives zero for zero and nothing for nothing", "", float, double) {
  using S = TestType;
  for (const auto& [rows, cols] : std::vector<std::pair<Index, Index>>{{1, 1}, {4, 9}, {9, 4}, {0, 3}, {3, 0}}) {
    const fw::matrix<S> zero(rows, cols, S(0));
    CHECK(largest_of(orthogonal(zero)) == 0);
    CHECK(largest_of(orthogonal(zero, tuned, 0)) == 0);
  }
}

TEST_CASE("orthogonalize commutes with transposing and with orthogonal matrices, and does not see the scale") {
  for (const auto& [rows, cols] : std::vector<std::pair<Index, Index>>{{20, 20}, {12, 33}, {33, 12}}) {
    CAPTURE(rows, cols);
    const auto x = with_condition(rows, cols, 0.02, 9);
    const auto y = orthogonal(x);
    CHECK(largest_error(orthogonal(transposed(x)), transposed(y)) <= 1e-10);
    const auto q = oracle::msign(numbers(2).matrix<double>(rows, rows));
    CHECK(largest_error(orthogonal(oracle::multiply(q, x)), oracle::multiply(q, y)) <= 1e-10);
    for (const double by : {1e-6, 1e3, 1e12}) CHECK(largest_error(orthogonal(scaled(x, by), tuned, 0), orthogonal(x, tuned, 0)) <= 1e-10);
    CHECK(largest_error(orthogonal(scaled(as<float>(x), 0x1p20), tuned, 0), orthogonal(as<float>(x), tuned, 0)) == 0);
  }
}

TEST_CASE("orthogonalize is nearly as accurate as the plain iteration, for any condition and shape") {
  for (const auto& [rows, cols] : std::vector<std::pair<Index, Index>>{{1, 1}, {1, 33}, {17, 1}, {40, 40}, {24, 70}, {70, 24}})
    for (const double least : {1e-1, 1e-3, 1e-6})
      for (const auto& with : {tuned, iterations(10, fw::convergent_quintic), iterations(3, fw::tuned_quintic)}) {
        CAPTURE(rows, cols, least, with.size());
        const auto x = as<float>(with_condition(rows, cols, least, 11));
        const auto exact = as<double>(x), expected = oracle::newton_schulz(exact, with);
        const auto single = orthogonal(x, with);
        // Not 2 as elsewhere: the worst is a Gram matrix that serves all iterations, three of them. How far off the iteration
        // written out is depends on the order in which a compiler sums: 8 holds by g++, clang needs 8.3.
        check_accuracy("float", single, oracle::newton_schulz(x, with), expected, with.size() > 3 ? 4 : 10);
        CHECK(largest_error(single, expected) <= 5e-6);
        CHECK(largest_error(orthogonal(exact, with), expected) <= 5e-14);
      }
}

TEST_CASE("orthogonalize is nearly as accurate as the plain iteration over random shapes") {
  sweep(few_cases, random_case);
}
TEST_CASE("orthogonalize is nearly as accurate as the plain iteration over 2000 random shapes", "[.slow]") {
  sweep(many_cases, random_case);
}

TEMPLATE_TEST_CASE("orthogonalize: bits do not depend on threads or on gaps between rows; its epilogue comes last", "", float,
                   double) {
  using S = TestType;
  for (const auto& [rows, cols] : std::vector<std::pair<Index, Index>>{{130, 130}, {50, 301}, {301, 50}}) {
    CAPTURE(rows, cols);
    const auto x = numbers(4).matrix<S>(rows, cols);
    check_threads("orthogonalize", [&] { return orthogonal(x); });
    const auto y = orthogonal(x);
    const auto twice = [](Index, Index, fw::pack<S> value, Index) { return value + value; };
    fw::matrix<S> doubled(rows, cols);
    fw::orthogonalize<S>(doubled, x, tuned, 1e-7, twice);
    CHECK(same_bits(doubled, scaled(y, 2)));
    shifted<S> out(x, 3, 1);
    fw::orthogonalize<S>(out.view(), x, tuned);
    CHECK(same_bits(out.copy(), y));
  }
}

TEST_CASE("orthogonalize refuses to do nothing") {
  CHECK_THROWS_WITH(orthogonal(six, {}), ContainsSubstring("needs at least one"));
}
