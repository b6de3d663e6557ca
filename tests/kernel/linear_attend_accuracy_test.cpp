// SPDX-License-Identifier: MIT
#include "kernel/linear_attend_cases.hpp"

namespace fw = formwork;
using cases::linear;
using cases::linear_case;
using cases::turning;
using fw::Index;
using fw::key_sums;

namespace {

/// The accuracy rule; 4 eps are of the largest number a sum is made of.
template <class S>
void check_accuracy(const char* what, const fw::matrix<S>& ours, const fw::matrix<S>& naive, const fw::matrix<double>& exact,
                    double part, double times) {
  INFO(what);
  const double eps = std::numeric_limits<S>::epsilon() * std::max(checks::largest_of(exact), part);
  const double allowed = std::is_same_v<S, double> ? 64 * eps : times * checks::largest_error(naive, exact) + 4 * eps;
  CHECK(checks::largest_error(ours, exact) <= allowed);
}

/// On outputs and gradients, in float and double; `in<S>()` gives the policies.
template <class In>
void check_case(const linear_case<float>& small, In in) {
  CAPTURE(small.batch.rows(), small.shape.heads, small.shape.key_heads, small.shape.key_width, small.shape.head_width);
  const auto chosen = in.template operator()<float>();
  const auto chosen_wide = in.template operator()<double>();
  const linear_case<double> wide(small);
  const auto exact = wide.expect(chosen_wide), ours_wide = wide.run(chosen_wide);
  const auto naive = small.expect(chosen), ours = small.run(chosen);
  const auto both = [](const char* what, const auto& o, const auto& n, const auto& w, const auto& e, double part,
                       double times) {
    check_accuracy(what, o, n, e, part, times);
    check_accuracy(what, w, w, e, part, times);
  };
  both("out", ours.out, naive.out, ours_wide.out, exact.out, 0, 2);
  both("kept", ours.kept, naive.kept, ours_wide.kept, exact.kept, 0, 2);
  both("dq", ours.dq, naive.dq, ours_wide.dq, exact.dq, exact.dq_part, 3);
  both("dk", ours.dk, naive.dk, ours_wide.dk, exact.dk, exact.dk_part, 3);
  both("dv", ours.dv, naive.dv, ours_wide.dv, exact.dv, 0, 3);
}

constexpr auto plain = []<class>() { return linear(); };
constexpr auto over_all = []<class>() { return linear<key_sums::full>(); };
constexpr auto turned = []<class S>() { return turning<S>(); };
constexpr auto turned_over_all = []<class S>() { return turning<S, key_sums::full>(); };

void random_case(checks::trial& t) {
  const Index group = t.size(4), key_heads = t.size(4), key_width = t.size(140), head_width = t.size(140);
  auto batch =
      t.ragged(std::max<Index>(10, std::min<Index>(1500, 500'000 / (group * key_heads * key_width * head_width))));
  const Index kind = t.below(7);
  if (kind == 2 || kind == 3) {  // positions matter to what turns
    std::vector<Index> starts;
    for (Index s = 0; s < batch.count(); ++s) starts.push_back(t.size(400, 0));
    batch.starts(starts);
  }
  const linear_case<float> small({group * key_heads, key_heads, key_width, head_width}, batch, t.any({0.3, 1.0}),
                                 t.seed());
  const linear_case<double> wide(small);
  const auto check = [&](auto in) {
    const auto chosen = in.template operator()<float>();
    const auto chosen_wide = in.template operator()<double>();
    const auto a = small.run(chosen, t.anywhere()), b = small.expect(chosen);
    const auto c = wide.expect(chosen_wide), d = wide.run(chosen_wide, t.anywhere());
    t.accurate("out", a.out, b.out, c.out, 2), t.accurate("out", d.out, c.out);
    t.accurate("kept", a.kept, b.kept, c.kept, 2), t.accurate("kept", d.kept, c.kept);
    t.accurate("dq", a.dq, b.dq, c.dq, 3, c.dq_part), t.accurate("dq", d.dq, c.dq, c.dq_part);
    t.accurate("dk", a.dk, b.dk, c.dk, 3, c.dk_part), t.accurate("dk", d.dk, c.dk, c.dk_part);
    t.accurate("dv", a.dv, b.dv, c.dv, 3), t.accurate("dv", d.dv, c.dv);
  };
  switch (kind) {
    case 0:
      return check(plain);
    case 1:
      return check(over_all);
    case 2:
      return key_width < 4 ? check(plain) : check(turned);
    case 3:
      return key_width < 4 ? check(over_all) : check(turned_over_all);
    case 4:
      return check([]<class>() { return linear(fw::exponential{}); });
    case 5:
      return check([]<class>() { return linear(fw::relu_plus_epsilon{}); });
    default:
      return check([]<class>() { return linear(cases::squared_relu{}); });
  }
}

fw::matrix<double> rows_of(Index rows, Index cols, const std::vector<double>& values) {
  fw::matrix<double> m(rows, cols);
  for (Index i = 0; i < m.size(); ++i) m.data()[i] = values[static_cast<std::size_t>(i)];
  return m;
}

/// The worked example of the papers' formulas: q, k and v of three tokens.
linear_case<double> example(Index width, const std::vector<double>& q, const std::vector<double>& k) {
  linear_case<double> one({1, 1, width, 2}, {3});
  one.q = rows_of(3, width, q);
  one.k = rows_of(3, width, k);
  one.v = rows_of(3, 2, {1, 2, 3, 4, 5, 6});
  return one;
}
const std::vector<double> example_q{1, 0, 2, 0, 1, -1, -1, .5, 0}, example_k{1, 1, 0, 0, 2, 1, 1, -1, 1};

}  // namespace

TEST_CASE("linear attention is as accurate as the rule asks, chunks and widths of every kind") {
  for (const Index n : {1, 3, 4, 47, 48, 49, 96, 131}) check_case(linear_case<float>({1, 1, 16, 16}, {n}), plain);
  for (const Index width : {1, 4, 7, 8, 20, 33, 64, 80}) {
    check_case(linear_case<float>({1, 1, width, 8}, {77}), plain);
    check_case(linear_case<float>({1, 1, 8, width}, {77}), plain);
  }
  check_case(linear_case<float>({1, 1, 64, 64}, {1500}), plain);
}

TEST_CASE("linear attention over ragged batches and grouped heads is as accurate as the rule asks, in every form") {
  for (const fw::head_shape shape : {fw::head_shape{4, 4, 12, 20}, {4, 2, 20, 12}, {4, 1, 8, 8}}) {
    const linear_case<float> one(shape, {100, 1, 0, 49});
    check_case(one, plain);
    check_case(one, over_all);
    check_case(one, turned);
    check_case(one, turned_over_all);
    check_case(one, []<class>() { return linear(fw::exponential{}); });
    check_case(one, []<class>() { return linear(fw::relu_plus_epsilon{}); });
    check_case(one, []<class>() { return linear(cases::squared_relu{}); });
  }
}

TEST_CASE("linear attention is as accurate as the rule asks over random shapes") {
  checks::sweep(checks::few_cases, random_case);
}
TEST_CASE("linear attention is as accurate as the rule asks over 2000 random shapes", "[.slow]") {
  checks::sweep(checks::many_cases, random_case);
}

TEST_CASE("the worked numbers of elu + 1: over all keys, causal, the sums at the end") {
  const auto one = example(3, example_q, example_k);
  const auto check = [](const fw::matrix<double>& got, const std::vector<double>& expected) {
    for (Index i = 0; i < got.size(); ++i) CHECK(got.data()[i] == Approx(expected[static_cast<std::size_t>(i)]).epsilon(1e-8));
  };
  check(one.run(linear<key_sums::full>()).out, {3.09008725, 4.09008725, 2.67040274, 3.67040274, 2.80549865, 3.80549865});
  check(one.run(linear()).out, {1, 2, 2.0969877, 3.0969877, 2.80549865, 3.80549865});

  // A chunk of these keys in order, and then keys of no weight: e^x of -1000 is 0.
  linear_case<double> chunk({1, 1, 3, 2}, {fw::linear_chunk});
  chunk.k.fill(-1000);
  for (Index i = 0; i < 3; ++i) {
    std::copy_n(one.k.row(i), 3, chunk.k.row(i));
    std::copy_n(one.v.row(i), 2, chunk.v.row(i));
  }
  fw::linear_attend_state<double> state(1, chunk.shape);
  fw::matrix<double> out(fw::linear_chunk, 2);
  fw::linear_attend_forward<double>(out, chunk.q, chunk.k, chunk.v, state, chunk.batch, linear());
  fw::scratch_layout<double> seen{state.carries(0)};
  const fw::linear_carry<double> carry(seen, chunk.shape);
  const std::vector<double> sums{15, 20, 12.83939721, 18.20727665, 17, 22}, key_sum{5, 5.36787944, 5};
  for (Index f = 0; f < 3; ++f) {
    const auto at = static_cast<std::size_t>(f);
    CHECK(carry.key_sum[f] == Approx(key_sum[at]).epsilon(1e-8));
    for (Index x = 0; x < 2; ++x)
      CHECK(carry.sums[f * fw::padded<double>(2) + x] == Approx(sums[2 * at + std::size_t(x)]).epsilon(1e-8));
  }
}

TEST_CASE("the worked numbers of rotary features: turned in the numerator only") {
  const auto one = example(4, {1, 0, 2, -1, 0, 1, -1, .5, -1, .5, 0, 1}, {1, 1, 0, 0, 0, 2, 1, -1, 1, -1, 1, 2});
  struct interleaved {
    fw::rotary_table<double> table{std::vector<double>{1, .01}, 3};
    void operator()(fw::view<double> x, Index position, fw::direction way) const {
      fw::sequences rows{x.rows()};
      rows.starts(std::vector<Index>{position});
      fw::rotate<double>(x, table, 1, 4, 4, fw::pairing::interleaved, rows, way);
    }
  };
  const auto out = one.run(fw::linear_attend_policies<key_sums::causal, fw::elu_plus_one, interleaved>{}).out;
  const std::vector<double> expected{1, 2, 1.75037266, 2.47476656, 2.57297015, 3.15067371};
  for (Index i = 0; i < 6; ++i) CHECK(out.data()[i] == Approx(expected[static_cast<std::size_t>(i)]).epsilon(1e-8));
}

TEST_CASE("angles of 0 give plain linear attention") {
  const linear_case<double> one({2, 1, 8, 6}, {100, 3});
  using policies = fw::linear_attend_policies<key_sums::causal, fw::elu_plus_one, cases::turned_by_rope<double>>;
  const policies still{{}, {{0.0, 0.0}, 100}};
  CHECK(cases::same_bits(one.run(still), one.run(linear())));
}

TEST_CASE("the last causal row is the full one's, and the formula by pairs of tokens agrees") {
  const linear_case<double> one({1, 1, 8, 6}, {130});
  const auto causal = one.run(linear()), full = one.run(linear<key_sums::full>());
  for (Index x = 0; x < 6; ++x) CHECK(causal.out(129, x) == Approx(full.out(129, x)).epsilon(1e-12));
  const auto feature = [](double x) { return x > 0 ? x + 1 : std::exp(x); };
  for (Index i = 0; i < 130; ++i) {
    std::vector<double> sum(6, 0);
    double weights = 0;
    for (Index j = 0; j <= i; ++j) {
      double weight = 0;
      for (Index f = 0; f < 8; ++f) weight += feature(one.q(i, f)) * feature(one.k(j, f));
      weights += weight;
      for (Index x = 0; x < 6; ++x) sum[static_cast<std::size_t>(x)] += weight * one.v(j, x);
    }
    for (Index x = 0; x < 6; ++x) CHECK(causal.out(i, x) == Approx(sum[static_cast<std::size_t>(x)] / weights).margin(1e-12));
  }
}

TEST_CASE("a query whose features meet no key gives zeros and zero gradients") {
  linear_case<float> one({1, 1, 5, 6}, {60});
  for (const Index i : {0, 30, 59}) std::fill_n(one.q.row(i), 5, -1.0f);
  const auto got = one.run(linear(cases::squared_relu{}));
  for (const Index i : {0, 30, 59}) {
    CHECK(std::all_of(got.out.row(i), got.out.row(i) + 6, [](float x) { return x == 0; }));
    CHECK(std::all_of(got.dq.row(i), got.dq.row(i) + 5, [](float x) { return x == 0; }));
  }
  CHECK(std::isfinite(checks::largest_of(got.dk)));
}

TEST_CASE("the gradients of linear attention match central differences to 1e-6") {
  const auto check = [](linear_case<double> one, const auto& chosen) {
    const auto got = one.run(chosen);
    const auto objective = [&] {
      fw::matrix<double> out(got.out.rows(), got.out.cols());
      fw::linear_attend_forward<double>(out, {}, one.q, one.k, one.v, one.batch, one.shape, chosen);
      double sum = 0;
      for (Index i = 0; i < out.size(); ++i) sum += out.data()[i] * one.dout.data()[i];
      return sum;
    };
    checks::check_gradient("dq", one.q, got.dq, objective);
    checks::check_gradient("dk", one.k, got.dk, objective);
    checks::check_gradient("dv", one.v, got.dv, objective);
  };
  const linear_case<double> ragged({2, 1, 4, 3}, {9, 1, 51});
  check(ragged, linear());
  check(ragged, linear<key_sums::full>());
  check(ragged, linear(fw::exponential{}));
  check(ragged, turning<double>());
  check(ragged, turning<double, key_sums::full>());
}

TEST_CASE("linear attention: a continued gradient adds to what is there, an empty batch is no work") {
  const linear_case<float> one({2, 1, 5, 6}, {60, 3});
  const auto fresh = one.run(linear());
  fw::matrix<float> dq(63, 10, 2.0f), dk(63, 5, 3.0f), dv(63, 6, 4.0f);
  constexpr auto more = fw::start::continued;
  fw::linear_attend_backward<float>(dq, dk, dv, one.dout, fresh.out, fresh.kept, one.q, one.k, one.v, one.batch, one.shape,
                                    linear(), more, more, more);
  for (Index i = 0; i < dq.size(); ++i) REQUIRE(dq.data()[i] == 2.0f + fresh.dq.data()[i]);
  for (Index i = 0; i < dk.size(); ++i) REQUIRE(dk.data()[i] == 3.0f + fresh.dk.data()[i]);
  for (Index i = 0; i < dv.size(); ++i) REQUIRE(dv.data()[i] == 4.0f + fresh.dv.data()[i]);
  CHECK(linear_case<float>({2, 1, 8, 6}, fw::sequences{}).run(linear()).out.rows() == 0);
  CHECK(linear_case<float>({2, 1, 8, 6}, {0, 0}).run(linear<key_sums::full>()).out.rows() == 0);
}

TEST_CASE("linear attention: shapes that do not fit are refused with what they are and what is needed") {
  const linear_case<float> one({4, 2, 5, 6}, {20});
  fw::matrix<float> out(20, 24), narrow(20, 23);
  const auto call = [&](fw::view<float> to, fw::view<const float> k, fw::head_shape shape) {
    fw::linear_attend_forward<float>(to, {}, one.q, k, one.v, one.batch, shape, linear());
  };
  CHECK_THROWS_WITH(call(narrow, one.k, one.shape), ContainsSubstring("the output is (20 × 23); needs (20 × 24)"));
  CHECK_THROWS_WITH(call(out, one.v, one.shape), ContainsSubstring("k is (20 × 12); needs (20 × 10)"));
  CHECK_THROWS_WITH(call(out, one.k, {4, 3, 5, 6}), ContainsSubstring("4 heads on 3 key heads"));
  fw::linear_attend_state<float> state(1, one.shape);
  fw::linear_attend_forward<float>(out, one.q, one.k, one.v, state, one.batch, linear());
  CHECK_THROWS_WITH(fw::linear_attend_forward<float>(out, one.q, one.k, one.v, state, one.batch, linear()),
                    ContainsSubstring("starts at position 0 but the state has seen 20"));
}
