// SPDX-License-Identifier: MIT
#include <formwork/kernel/symmetric_product.hpp>

#include <vector>

#include "kernel/sweep.hpp"

using namespace checks;

namespace {

/// Around the tile, the block of rows and the block of k.
const std::vector<Index> sizes{0, 1, 2, 3, 4, 5, 7, 8, 9, 16, 23, 24, 25, 31, 32, 33, 48, 100, 255, 256, 257, 300};

template <class S>
fw::matrix<S> symmetric(fw::operands form, const fw::matrix<S>& a, const fw::matrix<S>& b) {
  const Index n = form == fw::operands::tn ? a.cols() : a.rows();
  fw::matrix<S> c(n, n, S(-7));
  fw::symmetric_product<S>(form, c, a, b);
  return c;
}

/// Adds element (i, j) of a symmetric matrix.
template <class S>
struct add {
  fw::view<const S> m;
  fw::pack<S> operator()(Index row, Index col, fw::pack<S> value, Index count) const {
    return value + fw::pack<S>::load(m.row(row) + col, count);
  }
  void operands(auto f) const { f(m); }
};

/// a aᵀ in one of the three forms.
void random_case(trial& t) {
  const Index n = t.size(600, 0), k = t.size(std::max<Index>(1, 1'000'000 / (n * n + 1)), 0);
  const auto form = t.any({fw::operands::nn, fw::operands::nt, fw::operands::tn});
  const auto a = numbers(t.seed()).matrix<float>(n, k);
  const auto squared = [&]<class S>(const fw::matrix<S>& x) {
    places at = t.anywhere();
    auto left = at(form == fw::operands::tn ? transposed(x) : x),
         right = at(form == fw::operands::nt ? x : transposed(x));
    auto c = at.template output<S>(n, n);
    fw::symmetric_product<S>(form, c, left, right);
    return c.copy();
  };
  const auto loop = [&]<class S>(const fw::matrix<S>& x) {
    fw::matrix<S> c(n, n, S(0));
    for (Index i = 0; i < n; ++i)
      for (Index j = 0; j < n; ++j)
        for (Index l = 0; l < k; ++l) c(i, j) += x(i, l) * x(j, l);
    return c;
  };
  const auto wide = as<double>(a), exact = loop(wide);
  t.accurate("a aᵀ", squared(a), loop(a), exact, 2), t.accurate("a aᵀ", squared(wide), exact);
}

}  // namespace

TEMPLATE_TEST_CASE("symmetric_product of a matrix with itself has the bits of the whole product", "", float, double) {
  using S = TestType;
  for (const Index n : sizes)
    for (const Index k : {1, 7, 400}) {
      CAPTURE(n, k);
      const auto a = numbers(std::uint64_t(n + k)).matrix<S>(n, k);
      const auto turned = transposed(a);
      fw::matrix<S> whole(n, n);
      fw::product_nt<S>(whole, a, a);
      CHECK(same_bits(symmetric(fw::operands::nt, a, a), whole));
      CHECK(same_bits(symmetric(fw::operands::tn, turned, turned), whole));
      CHECK(same_bits(symmetric(fw::operands::nn, a, turned), whole));
    }
}

TEST_CASE("symmetric_product is as accurate as the rule asks over random shapes") { sweep(few_cases, random_case); }
TEST_CASE("symmetric_product is as accurate as the rule asks over 2000 random shapes", "[.slow]") {
  sweep(many_cases, random_case);
}

TEMPLATE_TEST_CASE("symmetric_product mirrors the lower triangle, bit for bit, after its epilogue", "", float, double) {
  using S = TestType;
  for (const Index n : sizes) {
    CAPTURE(n);
    numbers r{std::uint64_t(n)};
    const auto a = r.matrix<S>(n, 50), b = r.matrix<S>(n, 50);  // a bᵀ is not symmetric: the lower triangle decides
    const auto c = symmetric(fw::operands::nt, a, b);
    fw::matrix<S> lower(n, n), sum(n, n);
    fw::product_nt<S>(lower, a, b);
    for (Index i = 0; i < n; ++i)
      for (Index j = i + 1; j < n; ++j) lower(i, j) = lower(j, i);
    CHECK(same_bits(c, lower));
    fw::symmetric_product<S>(fw::operands::nt, sum, a, b, add<S>{c});
    for (Index i = 0; i < c.size(); ++i) lower.data()[i] += c.data()[i];
    CHECK(same_bits(sum, lower));
  }
}

TEMPLATE_TEST_CASE("symmetric_product: bits do not depend on threads or on gaps between rows", "", float, double) {
  using S = TestType;
  for (const Index n : {5, 130, 517}) {
    const auto a = numbers(3).matrix<S>(n, 300);
    check_threads("nt", [&] { return symmetric(fw::operands::nt, a, a); });
    const auto expected = symmetric(fw::operands::nt, a, a);
    shifted<S> in(a, 3, 5), out(expected, 1, 2);
    fw::symmetric_product<S>(fw::operands::nt, out.view(), in.view(), in.view());
    CHECK(same_bits(out.copy(), expected));
  }
}

TEST_CASE("symmetric_product refuses a c that is not square and operands that do not fit") {
  fw::matrix<float> a(3, 4), c(3, 4), d(3, 3);
  CHECK_THROWS_WITH(fw::symmetric_product<float>(fw::operands::nt, c, a, a), ContainsSubstring("as many rows as columns"));
  CHECK_THROWS_WITH(fw::symmetric_product<float>(fw::operands::nn, d, a, a), ContainsSubstring("needs c (m × n)"));
}
