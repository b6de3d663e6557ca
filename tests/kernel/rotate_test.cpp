// SPDX-License-Identifier: MIT
#include <formwork/kernel/rotate.hpp>

#include "kernel/sweep.hpp"

#include <numeric>

using namespace checks;

namespace {

std::vector<double> geometric(Index rotated, double base = 10000) {
  std::vector<double> f;
  for (Index i = 0; i < rotated / 2; ++i) f.push_back(std::pow(base, -2.0 * double(i) / double(rotated)));
  return f;
}

/// The definition, in T, cosines of angles in double.
template <class T, class S>
fw::matrix<T> naive(const fw::matrix<S>& x, Index heads, Index width, Index rotated, fw::pairing pairs,
                    const std::vector<Index>& position, double base = 10000, double sign = 1) {
  auto y = as<T>(x);
  const auto f = geometric(rotated, base);
  for (Index r = 0; r < x.rows(); ++r)
    for (Index h = 0; h < heads; ++h)
      for (Index i = 0; i < rotated / 2; ++i) {
        const double angle = double(position[std::size_t(r)]) * f[std::size_t(i)];
        const bool half = pairs == fw::pairing::half;
        T& a = y(r, h * width + (half ? i : 2 * i));
        T& b = y(r, h * width + (half ? i + rotated / 2 : 2 * i + 1));
        const T c = T(std::cos(angle)), s = T(sign * std::sin(angle)), u = a, v = b;
        a = u * c - v * s;
        b = u * s + v * c;
      }
  return y;
}

template <class S>
fw::matrix<S> rotated(const fw::matrix<S>& x, const fw::rotary_table<S>& table, Index heads, Index width,
                      fw::pairing pairs, const fw::sequences& rows, fw::direction way = fw::direction::forward,
                      places at = {}) {
  auto turned = at(x);
  fw::rotate<S>(turned, table, heads, width, 2 * table.pairs(), pairs, rows, way);
  return turned.copy();
}

const fw::pairing both[] = {fw::pairing::half, fw::pairing::interleaved};

void random_case(trial& t) {
  const Index width = t.size(300), heads = t.size(8), part = 2 * t.below(width / 2 + 1);
  auto rows = t.ragged(200);
  const auto pairs = t.any({fw::pairing::half, fw::pairing::interleaved});
  const auto way = t.any({fw::direction::forward, fw::direction::backward});
  const double base = t.any({100.0, 10000.0, 1e6});
  std::vector<Index> starts, positions;
  for (Index s = 0; s < rows.count(); ++s) starts.push_back(t.size(5000, 0));
  rows.starts(starts);
  for (Index i = 0; i < rows.rows(); ++i) positions.push_back(rows.position_of(i));
  const double sign = way == fw::direction::forward ? 1 : -1;
  const auto x = numbers(t.seed()).matrix<float>(rows.rows(), heads * width);
  const auto wide = as<double>(x), exact = naive<double>(x, heads, width, part, pairs, positions, base, sign);
  const auto ours = [&]<class S>(const fw::matrix<S>& from) {
    return rotated(from, fw::rotary_table<S>(geometric(part, base), 5200), heads, width, pairs, rows, way,
                   t.anywhere());
  };
  t.accurate("rotated", ours(x), naive<float>(x, heads, width, part, pairs, positions, base, sign), exact, 2);
  t.accurate("rotated", ours(wide), exact);
}

}  // namespace

TEST_CASE("rotate gives the published numbers of one head at position 3") {
  fw::matrix<double> x(1, 8);
  for (Index i = 0; i < 8; ++i) x(0, i) = double(i + 1);
  const fw::rotary_table<double> table(geometric(8), 4);
  fw::sequences rows{1};
  rows.starts(std::vector<Index>{3});
  const double interleaved[] = {-1.27223251, -1.83886499, 1.68392864, 4.70790658, 4.81777717, 6.14727770, 6.97596854, 8.02096397};
  const double half[] = {-1.69559254, .13755174, 2.7886816, 3.97598204, -4.80884247, 6.32305935, 7.08683674, 8.01196398};
  const auto a = rotated(x, table, 1, 8, fw::pairing::interleaved, rows), b = rotated(x, table, 1, 8, fw::pairing::half, rows);
  for (Index i = 0; i < 8; ++i) {
    CHECK(std::abs(a(0, i) - interleaved[i]) <= 6e-9);
    CHECK(std::abs(b(0, i) - half[i]) <= 6e-9);
  }
}

TEMPLATE_TEST_CASE("rotate is as accurate as a naive loop, both ways, for ragged sequences and parts of a head", "", float, double) {
  using S = TestType;
  numbers random(1);
  for (const auto pairs : both)
    for (const auto& [heads, width, part] : std::vector<std::array<Index, 3>>{
             {1, 2, 2}, {2, 8, 8}, {3, 8, 6}, {1, 30, 30}, {2, 32, 32}, {1, 34, 34}, {2, 64, 64}, {2, 64, 16}, {1, 66, 62}, {2, 5, 0}, {1, 130, 128}}) {
      fw::sequences rows{3, 0, 1, 7};
      rows.starts(std::vector<Index>{0, 5, 90, 11});
      const std::vector<Index> positions{0, 1, 2, 90, 11, 12, 13, 14, 15, 16, 17};
      const auto x = random.matrix<S>(rows.rows(), heads * width);
      const fw::rotary_table<S> table(geometric(part), 91);
      CAPTURE(heads, width, part, int(pairs));
      check_accuracy("forward", rotated(x, table, heads, width, pairs, rows), naive<S>(x, heads, width, part, pairs, positions),
                     naive<double>(x, heads, width, part, pairs, positions), 2);
      check_accuracy("backward", rotated(x, table, heads, width, pairs, rows, fw::direction::backward),
                     naive<S>(x, heads, width, part, pairs, positions, 10000, -1),
                     naive<double>(x, heads, width, part, pairs, positions, 10000, -1), 3);
    }
}

TEMPLATE_TEST_CASE("even and odd lanes of two packs are split and joined, those of one lane left alone", "", float, double) {
  const auto check = []<int N>(std::integral_constant<int, N>) {
    using P = fw::pack<TestType, N>;
    TestType x[2 * N], y[2 * N];
    std::iota(x, x + 2 * N, TestType(0));
    P a = P::load(x), b = P::load(x + N);
    fw::split_lanes(a, b);
    a.store(y), b.store(y + N);
    for (int l = 0; l < N; ++l) {
      CHECK(y[l] == x[2 * l]);
      CHECK(y[N + l] == x[2 * l + 1]);
    }
    fw::join_lanes(a, b);
    a.store(y), b.store(y + N);
    CHECK(std::equal(x, x + 2 * N, y));
  };
  check(std::integral_constant<int, 1>());
  check(std::integral_constant<int, fw::lanes<TestType>>());
}

TEST_CASE("rotate is as accurate as the rule asks over random shapes") { sweep(few_cases, random_case); }
TEST_CASE("rotate is as accurate as the rule asks over 2000 random shapes", "[.slow]") {
  sweep(many_cases, random_case);
}

TEST_CASE("rotate backward is the gradient of rotate forward") {
  numbers random(2);
  for (const auto pairs : both) {
    auto x = random.matrix<double>(5, 2 * 10);
    const auto dy = random.matrix<double>(5, 2 * 10);
    fw::sequences rows{1, 4};
    const fw::rotary_table<double> table(geometric(6), 8);
    check_gradient("x", x, rotated(dy, table, 2, 10, pairs, rows, fw::direction::backward), [&] {
      const auto y = rotated(x, table, 2, 10, pairs, rows);
      double sum = 0;
      for (Index i = 0; i < y.size(); ++i) sum += y.data()[i] * dy.data()[i];
      return sum;
    });
  }
}

TEST_CASE("rotate: scores depend on the distance only, norms stay, position 0 is the identity, angles add, up to position 100000") {
  numbers random(3);
  const Index width = 64;
  const fw::rotary_table<double> table(geometric(width), 100001);
  const auto at = [&](const fw::matrix<double>& x, Index position, fw::pairing pairs, fw::direction way = fw::direction::forward) {
    fw::sequences rows{1};
    rows.starts(std::vector<Index>{position});
    return rotated(x, table, 1, width, pairs, rows, way);
  };
  const auto dot = [](const fw::matrix<double>& a, const fw::matrix<double>& b) {
    double sum = 0;
    for (Index i = 0; i < a.size(); ++i) sum += a.data()[i] * b.data()[i];
    return sum;
  };
  for (const auto pairs : both) {
    const auto q = random.matrix<double>(1, width), k = random.matrix<double>(1, width);
    for (const Index distance : {0, 1, 17, 1000, 50000}) {
      const double near = dot(at(q, distance, pairs), at(k, 0, pairs));
      for (const Index n : {1, 300, 49999})
        CHECK(std::abs(dot(at(q, distance + n, pairs), at(k, n, pairs)) - near) <= 1e-9);
    }
    for (const Index n : {1, 99999, 100000}) {
      CHECK(std::abs(dot(at(q, n, pairs), at(q, n, pairs)) - dot(q, q)) <= 1e-12 * dot(q, q));
      CHECK(largest_error(at(at(q, n, pairs), n, pairs, fw::direction::backward), q) <= 1e-14);
    }
    CHECK(same_bits(at(q, 0, pairs), q));
    CHECK(largest_error(at(at(q, 30000, pairs), 70000, pairs), at(q, 100000, pairs)) <= 1e-10);
  }
}

TEST_CASE("rotate in float keeps 1e-6 at position 100000, where angles formed in float would lose it") {
  numbers random(4);
  const auto x = random.matrix<float>(1, 64);
  const fw::rotary_table<float> table(geometric(64), 100001);
  fw::sequences rows{1};
  rows.starts(std::vector<Index>{100000});
  CHECK(largest_error(rotated(x, table, 1, 64, fw::pairing::half, rows), naive<double>(x, 1, 64, 64, fw::pairing::half, {100000})) <= 1e-6);
  float most = 0;
  for (const double f : geometric(64)) {
    const float angle = 100000.0f * float(f);
    most = std::max(most, std::abs(std::cos(angle) - float(std::cos(100000.0 * f))));
  }
  CHECK(most > 1e-5f);
}

TEMPLATE_TEST_CASE("rotate: half of permuted columns is interleaved, permuted, bit for bit", "", float, double) {
  using S = TestType;
  const Index width = 38;
  const auto x = numbers(5).matrix<S>(9, width);
  const auto permuted = [&](const fw::matrix<S>& m) {
    fw::matrix<S> r(m.rows(), width);
    for (Index i = 0; i < m.rows(); ++i)
      for (Index j = 0; j < width / 2; ++j) r(i, j) = m(i, 2 * j), r(i, j + width / 2) = m(i, 2 * j + 1);
    return r;
  };
  const fw::rotary_table<S> table(geometric(width), 9);
  const fw::sequences rows{9};
  CHECK(same_bits(rotated(permuted(x), table, 1, width, fw::pairing::half, rows),
                  permuted(rotated(x, table, 1, width, fw::pairing::interleaved, rows))));
}

TEMPLATE_TEST_CASE("rotate: bits do not depend on threads, batch, alignment or the table's capacity", "", float, double) {
  using S = TestType;
  numbers random(6);
  const Index heads = 3, width = 70;
  const auto x = random.matrix<S>(40, heads * width);
  const fw::sequences rows{21, 1, 18};
  const fw::rotary_table<S> table(geometric(width), 64);
  fw::rotary_table<S> grown(geometric(width), 1);
  grown.reserve(21);
  for (const auto pairs : both) {
    const auto y = rotated(x, table, heads, width, pairs, rows);
    check_threads("threads", [&] { return rotated(x, table, heads, width, pairs, rows); });
    CHECK(same_bits(y, rotated(x, grown, heads, width, pairs, rows)));
    for (Index r = 0; r < 40; ++r) {
      const Index s = rows.sequence_of(r);
      fw::sequences one{1};
      one.starts(std::vector<Index>{r - rows.first(s)});
      CHECK(same_bits(fw::matrix<S>(y.rows(r, 1)), rotated(fw::matrix<S>(x.rows(r, 1)), table, heads, width, pairs, one)));
    }
    for (Index offset = 0; offset < 16; ++offset) {
      shifted<S> at(x, offset, offset % 3);
      fw::rotate<S>(at.view(), table, heads, width, width, pairs, rows, fw::direction::forward);
      CHECK(same_bits(y, at.copy()));
    }
  }
}

TEST_CASE("rotate: empty inputs are fine and wrong ones are named") {
  const fw::rotary_table<float> table(geometric(8), 10);
  fw::matrix<float> none(0, 16), x(3, 16, 1.0f);
  CHECK_NOTHROW(fw::rotate<float>(none, table, 2, 8, 8, fw::pairing::half, fw::sequences{}, fw::direction::forward));
  const auto run = [&](Index heads, Index width, Index part, const fw::sequences& rows) {
    fw::rotate<float>(x, table, heads, width, part, fw::pairing::half, rows, fw::direction::forward);
  };
  CHECK_THROWS_WITH(run(3, 8, 8, {3}), ContainsSubstring("3 heads of width 8"));
  CHECK_THROWS_WITH(run(2, 8, 7, {3}), ContainsSubstring("even"));
  CHECK_THROWS_WITH(run(2, 8, 6, {3}), ContainsSubstring("4 pairs"));
  fw::matrix<float> thin(3, 0);  // heads of no width are not what is wrong here
  CHECK_THROWS_WITH(fw::rotate<float>(thin, table, 2, 0, 0, fw::pairing::half, fw::sequences{3}, fw::direction::forward),
                    ContainsSubstring("rotated width 0 but the table has 4 pairs"));
  CHECK_THROWS_WITH(run(2, 8, 8, {2}), ContainsSubstring("2 rows"));
  fw::sequences late{3};
  late.starts(std::vector<Index>{8});
  CHECK_THROWS_WITH(run(2, 8, 8, late), ContainsSubstring("positions 8 .. 10 but the table ends at 9"));
  CHECK(x(2, 15) == 1.0f);
}
