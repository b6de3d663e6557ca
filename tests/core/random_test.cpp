// SPDX-License-Identifier: MIT
#include <formwork/core/random.hpp>

#include "support/catch.hpp"

#include <algorithm>
#include <cstring>
#include <vector>

namespace fw = formwork;
using fw::Index;

namespace {

struct moments {
  double mean = 0, variance = 0, fourth = 0;
};
template <class S>
moments moments_of(const fw::matrix<S>& m) {
  moments r;
  const auto n = double(m.size());
  for (Index i = 0; i < m.size(); ++i) r.mean += double(m.data()[i]) / n;
  for (Index i = 0; i < m.size(); ++i) {
    const double d = double(m.data()[i]) - r.mean;
    r.variance += d * d / n, r.fourth += d * d * d * d / n;
  }
  return r;
}

template <class S>
bool same(const fw::matrix<S>& a, const fw::matrix<S>& b) {
  return std::memcmp(a.data(), b.data(), std::size_t(a.size()) * sizeof(S)) == 0;
}

}  // namespace

// Random123, tests/kat_vectors: the lines `philox4x32 10 counter[4] key[2] result[4]`, words in the order of memory.
TEST_CASE("philox gives the known answers of Random123") {
  using block = fw::philox::block;
  CHECK(fw::philox{0}(0, 0) == block{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  CHECK(fw::philox{0xffffffffffffffff}(0xffffffffffffffff, 0xffffffffffffffff) ==
        block{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(fw::philox{0x299f31d0a4093822}(0x85a308d3243f6a88, 0x0370734413198a2e) ==
        block{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("philox fills with the same blocks side by side as one by one, carries included") {
  const fw::philox source{0x123456789abcdef};
  for (const std::uint64_t first : {std::uint64_t(0), std::uint64_t(0xfffffffb), ~std::uint64_t(0) - 6})
    for (Index blocks = 0; blocks < 20; ++blocks) {
      std::vector<std::uint32_t> words(std::size_t(4 * blocks) + 4, 77);
      source.fill(words.data(), blocks, first, 5);
      for (Index b = 0; b < blocks; ++b) {
        const auto one = source(first + std::uint64_t(b), 5);
        CHECK(std::equal(one.begin(), one.end(), words.begin() + 4 * b));
      }
      CHECK(std::all_of(words.begin() + 4 * blocks, words.end(), [](std::uint32_t w) { return w == 77; }));
    }
}

TEST_CASE("rng repeats itself from a saved state, and streams and seeds differ") {
  fw::rng a(7);
  for (int i = 0; i < 5; ++i) a.normal();
  const fw::rng::state saved = a.save();
  const double next = a.normal();
  const Index index = a.below(1000);
  fw::matrix<float> filled(9, 11), again(9, 11);
  a.fill_normal(filled, 1);
  fw::rng b(0);
  b.restore({saved.key, saved.next});  // two plain integers
  CHECK(b.normal() == next);
  CHECK(b.below(1000) == index);
  b.fill_normal(again, 1);
  CHECK(same(filled, again));
  CHECK(a.save() == b.save());
  CHECK(fw::rng(7)() != fw::rng(8)());
  CHECK(fw::rng(7, 1)() != fw::rng(7, 2)());
  CHECK(fw::rng(7).split(1)() != fw::rng(7).split(2)());
  CHECK(fw::rng(7).split(1)() == fw::rng(7).split(1)());
}

TEST_CASE("rng fills with the numbers it would draw, rounded for float") {
  fw::rng a(3), b(3), c(3);
  fw::matrix<double> d(1, 10);
  fw::matrix<float> f(1, 10);
  a.fill_normal(d, 2.0);
  b.fill_normal(f, 2.0);
  for (Index j = 0; j < 10; ++j) {
    CHECK(f(0, j) == float(d(0, j)));
    if (j % 2 == 0) CHECK(d(0, j) == 2 * c.normal());
  }
  fw::rng e(3), g(3);
  e.fill_uniform(d, 0, 1);
  for (Index j = 0; j < 10; j += 2) CHECK(d(0, j) == g.uniform());
}

TEST_CASE("rng fills the same numbers for any number of threads and any stride") {
  const int before = fw::threads();
  fw::matrix<float> one(123, 457), other(123, 457), wide(123, 500, -1.f);
  fw::threads(1);
  fw::rng(5).fill_normal(one, 1);
  for (const int count : {2, 3, 8}) {
    fw::threads(count);
    fw::rng(5).fill_normal(other, 1);
    CHECK(same(one, other));
  }
  fw::threads(before);
  fw::rng(5).fill_normal(wide.cols(7, 457), 1);
  bool equal = true;
  for (Index i = 0; i < 123; ++i) {
    equal = equal && std::equal(one.row(i), one.row(i) + 457, wide.row(i) + 7);
    equal = equal && wide(i, 6) == -1 && wide(i, 464) == -1;
  }
  CHECK(equal);
}

TEST_CASE("uniform and normal numbers have the moments of their distributions") {
  fw::rng random(11);
  fw::matrix<double> m(1000, 1001);  // standard errors: mean 0.001, variance 0.0014, fourth moment 0.01
  random.fill_normal(m, 1);
  const moments n = moments_of(m);
  CHECK(std::abs(n.mean) < 0.005);
  CHECK(std::abs(n.variance - 1) < 0.007);
  CHECK(std::abs(n.fourth - 3) < 0.05);
  Index beyond_two = 0;
  for (Index i = 0; i < m.size(); ++i) beyond_two += std::abs(m.data()[i]) > 2;
  CHECK(std::abs(double(beyond_two) / double(m.size()) - 0.0455003) < 0.001);

  double neighbours = 0;  // the two numbers of one block are independent
  for (Index i = 0; i + 1 < m.size(); i += 2) neighbours += m.data()[i] * m.data()[i + 1];
  CHECK(std::abs(2 * neighbours / double(m.size())) < 0.008);

  random.fill_uniform(m, -1, 3);
  const moments u = moments_of(m);
  CHECK(std::abs(u.mean - 1) < 0.006);
  CHECK(std::abs(u.variance - 16.0 / 12) < 0.006);
  CHECK(*std::min_element(m.data(), m.data() + m.size()) >= -1);
  CHECK(*std::max_element(m.data(), m.data() + m.size()) < 3);

  double mean = 0, square = 0;
  for (int i = 0; i < 200'000; ++i) {
    const double x = random.normal();
    mean += x / 200'000, square += x * x / 200'000;
  }
  CHECK(std::abs(mean) < 0.012);
  CHECK(std::abs(square - 1) < 0.016);
}

TEST_CASE("truncated normal numbers have the deviation asked for and end at two of the uncut ones") {
  fw::rng random(12);
  fw::matrix<float> m(1000, 1001);
  random.fill_truncated_normal(m, 0.02);
  const moments t = moments_of(m);
  CHECK(std::abs(t.mean) < 0.0001);
  CHECK(std::sqrt(t.variance) == Approx(0.02).epsilon(0.003));
  const float most = *std::max_element(m.data(), m.data() + m.size());
  const double end = 2 * 0.02 * 1.1368472;
  CHECK(most <= float(end) * 1.000001f);
  CHECK(most > 0.999 * end);
}

TEST_CASE("below is unbiased and refuses a count of 0") {
  fw::rng random(13);
  for (const Index n : {1, 2, 3, 7, 10}) {
    std::vector<int> seen(std::size_t(n), 0);
    const int draws = 70'000;
    for (int i = 0; i < draws; ++i) {
      const Index x = random.below(n);
      REQUIRE((x >= 0 && x < n));
      ++seen[std::size_t(x)];
    }
    double chi = 0;
    const double expected = double(draws) / double(n);
    for (const int s : seen) chi += (s - expected) * (s - expected) / expected;
    CHECK(chi < 30);  // 9 degrees of freedom: exceeded with probability 4e-4; the seed is fixed
  }
  CHECK(random.below(std::numeric_limits<Index>::max()) >= 0);
  CHECK_THROWS_WITH(random.below(0), ContainsSubstring("needs > 0"));
}

TEST_CASE("rng draws every one of 64 bits") {
  fw::rng random(14);
  std::uint64_t ones = 0, zeros = 0;
  for (int i = 0; i < 64; ++i) {
    const std::uint64_t x = random();
    ones |= x, zeros |= ~x;
  }
  CHECK(ones == ~std::uint64_t(0));
  CHECK(zeros == ~std::uint64_t(0));
}

TEMPLATE_TEST_CASE("dropout draws depend on the place alone, and a row is its elements", "", float, double) {
  using S = TestType;
  const fw::dropout_mask mask(1, 2, 3, 0.25);
  for (const Index columns : {0, 1, 3, 4, 255, 256, 257, 700}) {
    std::vector<S> row(std::size_t(columns) + 1, S(-1));
    mask.row(row.data(), columns, 4, 5);
    bool right = row.back() == S(-1);
    for (Index j = 0; j < columns; ++j) right = right && row[std::size_t(j)] == (mask.keeps(4, 5, j) ? S(1 / 0.75) : S(0));
    CHECK(right);
  }
}

TEST_CASE("dropout keeps the share asked for, differently at every key") {
  const Index columns = 100'000;
  std::vector<float> first(static_cast<std::size_t>(columns)), other(first);
  for (const double rate : {0.0, 0.1, 0.5, 0.9}) {
    fw::dropout_mask(1, 2, 3, rate).row(first.data(), columns, 4, 5);
    const auto kept = double(std::count_if(first.begin(), first.end(), [](float f) { return f != 0; }));
    CHECK(std::abs(kept / double(columns) - (1 - rate)) < 0.007);
  }
  fw::dropout_mask(1, 2, 3, 0.5).row(first.data(), columns, 4, 5);
  const auto agreement = [&](fw::dropout_mask mask, Index sequence, Index position) {
    mask.row(other.data(), columns, sequence, position);
    Index equal = 0;
    for (std::size_t j = 0; j < other.size(); ++j) equal += other[j] == first[j];
    return double(equal) / double(columns);
  };
  CHECK(agreement({1, 2, 3, 0.5}, 4, 5) == 1);
  CHECK(std::abs(agreement({9, 2, 3, 0.5}, 4, 5) - 0.5) < 0.01);
  CHECK(std::abs(agreement({1, 9, 3, 0.5}, 4, 5) - 0.5) < 0.01);
  CHECK(std::abs(agreement({1, 2, 9, 0.5}, 4, 5) - 0.5) < 0.01);
  CHECK(std::abs(agreement({1, 2, 3, 0.5}, 9, 5) - 0.5) < 0.01);
  CHECK(std::abs(agreement({1, 2, 3, 0.5}, 4, 9) - 0.5) < 0.01);
  CHECK_THROWS_WITH(fw::dropout_mask(1, 2, 3, 1.0), ContainsSubstring("needs 0 <= rate < 1"));
}
