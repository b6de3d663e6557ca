// SPDX-License-Identifier: MIT
#include <formwork/kernel/lane_product.hpp>

#include <array>

#include "kernel/checks.hpp"

using namespace checks;

namespace {

/// The chain of one lane.
template <class S>
S chained(S a, S b, S sum) {
  return fma(fw::pack<S, 1>(a), fw::pack<S, 1>(b), fw::pack<S, 1>(sum))[0];
}

}  // namespace

TEMPLATE_TEST_CASE("a product in every lane is one chain an element, whatever the sizes, fresh or continued", "", float, double) {
  constexpr Index W = fw::lanes<TestType>;
  numbers draw(1);
  for (const auto& [rows, cols, depth] : {std::array<Index, 3>{1, 1, 1}, {4, 3, 16}, {9, 7, 5}, {16, 10, 3}, {3, 4, 0}}) {
    const auto a = draw.matrix<TestType>(rows * depth, W), b = draw.matrix<TestType>(depth * cols, W);
    auto c = draw.matrix<TestType>(cols * rows, W);
    auto expected = c;
    for (const auto how : {fw::start::continued, fw::start::fresh}) {
      // a row by row, b and c column by column.
      fw::lane_product<TestType>({c.data(), 1, rows}, rows, cols, depth, {a.data(), depth, 1}, {b.data(), 1, cols}, how);
      for (Index i = 0; i < rows; ++i)
        for (Index j = 0; j < cols; ++j)
          for (Index l = 0; l < W; ++l) {
            TestType& sum = expected(j * rows + i, l);
            if (how == fw::start::fresh) sum = 0;
            for (Index k = 0; k < depth; ++k) sum = chained(a(i * depth + k, l), b(k * cols + j, l), sum);
          }
      CHECK(same_bits(c, expected));
    }
  }
}

TEMPLATE_TEST_CASE("a causal convolution in every lane is one chain over what each row sees", "", float, double) {
  constexpr Index W = fw::lanes<TestType>, taps = 16;
  numbers draw(2);
  for (const auto& [first, last, cols] : {std::array<Index, 3>{0, 16, 4}, {3, 14, 1}, {7, 8, 3}}) {
    const auto kernel = draw.matrix<TestType>(taps, W), x = draw.matrix<TestType>(cols * taps, W);
    auto c = draw.matrix<TestType>(cols * taps, W);
    auto expected = c;
    fw::lane_convolve<TestType>({c.data(), 1, taps}, first, last, cols, kernel.data(), {x.data(), taps, 1});
    for (Index j = 0; j < cols; ++j)
      for (Index i = first; i < last; ++i)
        for (Index k = 0; k <= i; ++k)
          for (Index l = 0; l < W; ++l) {
            TestType& sum = expected(j * taps + i, l);
            sum = chained(kernel(i - k, l), x(j * taps + k, l), sum);
          }
    CHECK(same_bits(c, expected));
  }
}

TEST_CASE("the correlation in every lane is the gradient of the convolution by its kernel") {
  constexpr Index W = fw::lanes<double>, taps = 16, cols = 3;
  numbers draw(3);
  auto kernel = draw.matrix<double>(taps, W);
  const auto x = draw.matrix<double>(cols * taps, W), dc = draw.matrix<double>(cols * taps, W);
  fw::matrix<double> dkernel(taps, W, 0.0);
  fw::lane_correlate<double>(dkernel.data(), taps, cols, {dc.data(), taps, 1}, {x.data(), taps, 1});
  check_gradient("kernel", kernel, dkernel, [&] {
    fw::matrix<double> c(cols * taps, W, 0.0);
    fw::lane_convolve<double>({c.data(), 1, taps}, 0, taps, cols, kernel.data(), {x.data(), taps, 1});
    return eigen(c).cwiseProduct(eigen(dc)).sum();
  });
}
