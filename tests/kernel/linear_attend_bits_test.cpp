// SPDX-License-Identifier: MIT
#include <formwork/layer/builder.hpp>

#include <map>

#include "kernel/attention_bits.hpp"
#include "kernel/linear_attend_cases.hpp"

namespace fw = formwork;
using bits::alone;
using bits::same_rows;
using cases::linear;
using cases::linear_case;
using cases::linearly_attended;
using cases::turning;
using fw::Index;
using fw::key_sums;

namespace {

/// Calls of `counts` of each sequence against one state give the rows of the parallel form.
template <class S, class Policies>
void check_splits(const linear_case<S>& all, const Policies& chosen, const std::vector<std::vector<Index>>& calls) {
  const linearly_attended<S> whole = all.run(chosen);
  fw::linear_attend_state<S> state(all.batch.count(), all.shape);
  bits::calls_give_the_rows_of<S>({&whole.out}, all, calls, [&](const auto& part, const auto& q, const auto& k, const auto& v) {
    std::vector<fw::matrix<S>> got{{part.rows(), all.dout.cols()}};
    fw::linear_attend_forward<S>(got[0], q, k, v, state, part, chosen);
    return got;
  });
}

/// favor's map with directions of a fixed seed; the same whenever asked for.
template <class S>
const fw::favor<S>& random_features(Index key_width) {
  static std::map<Index, fw::favor<S>> made;
  fw::rng random{3};
  if (!made.count(key_width))
    made.emplace(key_width, fw::favor<S>::make(fw::builder{.sizes = {.width = key_width, .heads = 1}, .random = random}, {}));
  return made.at(key_width);
}

}  // namespace

TEMPLATE_TEST_CASE("linear attention gives the same bits every run and on 1, 2, 3 and 8 threads", "", float, double) {
  using S = TestType;
  const linear_case<S> one({4, 2, 20, 12}, {130, 1, 0, 77});
  const auto check = [&](const auto& chosen) {
    const int before = fw::threads();
    fw::threads(1);
    const auto expected = one.run(chosen);
    for (const int n : {1, 2, 3, 8}) {
      fw::threads(n);
      CAPTURE(n);
      CHECK(cases::same_bits(one.run(chosen), expected));
    }
    fw::threads(before);
  };
  check(linear());
  check(turning<S>());
  check(linear<key_sums::full>());
  check(linear(random_features<S>(20).template prepared<S>(20)));
  check(linear(fw::prepared<S>(fw::taylor_map{}, 20)));
  const auto over_sequences = [&](int n) {
    fw::threads(n);
    auto k = one.k;
    fw::efficient{}.over_sequences(k.all(), one.shape.key_heads, one.batch);
    return k;
  };
  const int before = fw::threads();
  CHECK(checks::same_bits(over_sequences(1), over_sequences(3)));
  fw::threads(before);
}

TEST_CASE("linear attention's backward keeps one front for each chunk that is begun") {
  const int before = fw::threads();
  fw::threads(1);
  fw::pool& pool = fw::pool::instance();
  const auto peak = [&](Index length) {
    const linear_case<float> one({1, 1, 64, 64}, {length});
    const auto there = one.run(linear());
    fw::matrix<float> dq(length, 64), dk(length, 64), dv(length, 64);
    pool.trim(), pool.reset_peak();
    const std::size_t in_use = pool.statistics().in_use;
    fw::linear_attend_backward<float>(dq, dk, dv, one.dout, there.out, there.kept, one.q, one.k, one.v, one.batch, one.shape,
                                      linear());
    return pool.statistics().peak - in_use;
  };
  const Index chunk = fw::linear_chunk;
  CHECK(peak(chunk + 1) == peak(2 * chunk));
  CHECK(peak(2 * chunk) < peak(3 * chunk));
  fw::threads(before);
}

TEMPLATE_TEST_CASE("linear attention: a sequence alone has the bits it has in a ragged batch, outputs and all gradients", "",
                   float, double) {
  using S = TestType;
  const linear_case<S> all({4, 2, 20, 12}, {130, 1, 9, 0, 300});
  const auto check = [&](const auto& chosen) {
    const auto whole = all.run(chosen);
    for (Index s = 0; s < all.batch.count(); ++s) {
      const auto single = alone(all, s).run(chosen);
      const Index first = all.batch.first(s), count = all.batch.length(s);
      CAPTURE(s);
      CHECK(same_rows(single.out, 0, whole.out, first, count));
      CHECK(same_rows(single.dq, 0, whole.dq, first, count));
      CHECK(same_rows(single.dk, 0, whole.dk, first, count));
      CHECK(same_rows(single.dv, 0, whole.dv, first, count));
    }
  };
  check(linear());
  check(turning<S>());
  check(linear<key_sums::full>());
}

TEMPLATE_TEST_CASE("linear attention: prefill in any split, then single steps, equals the parallel form bit for bit", "", float,
                   double) {
  using S = TestType;
  constexpr Index chunk = fw::linear_chunk;
  const linear_case<S> all({4, 2, 20, 12}, {4 * chunk + 3, 5, 100});
  const auto check = [](const linear_case<S>& one, const std::vector<std::vector<Index>>& calls) {
    check_splits(one, linear(), calls);
    check_splits(one, turning<S>(), calls);
    check_splits(one, linear(fw::relu_plus_epsilon{}), calls);
  };
  check(all, {{4 * chunk, 5, 100}, {1, 0, 0}, {1, 0, 0}, {1, 0, 0}});
  check(all, {{1, 1, 99}, {chunk - 2, 3, 0}, {2, 0, 1}, {chunk + 1, 1, 0}, {7, 0, 0}, {2 * chunk - 6, 0, 0}});
  const linear_case<S> small({2, 1, 64, 12}, {2 * chunk + 2, 33});
  std::vector<std::vector<Index>> steps(2 * chunk + 2, {1, 0});
  for (std::size_t i = 20; i < 53; ++i) steps[i][1] = 1;
  check(small, steps);
}

TEMPLATE_TEST_CASE("linear attention gives the same bits at 16 buffer offsets and any row gap", "", float, double) {
  using checks::shifted;
  const linear_case<TestType> one({2, 1, 9, 11}, {60, 3});
  const auto& random = random_features<TestType>(9);
  const auto check = [&](const auto& chosen) {
    const auto expected = one.run(chosen);
    for (Index offset = 0; offset < 16; ++offset) {
      const Index gap = offset * 5 % 7;
      shifted<TestType> q(one.q, offset, gap), k(one.k, 15 - offset, gap), v(one.v, offset), dout(one.dout, 15 - offset),
          out(expected.out, offset), kept(expected.kept, offset, gap), dq(expected.dq, 15 - offset), dk(expected.dk, offset),
          dv(expected.dv, offset, gap);
      fw::linear_attend_forward<TestType>(out.view(), kept.view(), q.view(), k.view(), v.view(), one.batch, one.shape, chosen);
      fw::linear_attend_backward<TestType>(dq.view(), dk.view(), dv.view(), dout.view(), out.view(), kept.view(), q.view(),
                                           k.view(), v.view(), one.batch, one.shape, chosen);
      CAPTURE(offset);
      CHECK(checks::same_bits(out.copy(), expected.out));
      CHECK(checks::same_bits(kept.copy(), expected.kept));
      CHECK(checks::same_bits(dq.copy(), expected.dq));
      CHECK(checks::same_bits(dk.copy(), expected.dk));
      CHECK(checks::same_bits(dv.copy(), expected.dv));
    }
  };
  check(linear());
  check(linear(fw::one_plus_cos{}));
  check(linear(fw::prepared<TestType>(fw::limit_map{}, 9)));
  check(linear(random.template prepared<TestType>(9)));
}

TEMPLATE_TEST_CASE("linear attention: a later key or value changes no bit of an output or a query's gradient, NaN or not", "",
                   float, double) {
  using S = TestType;
  const auto check = [](const auto& chosen, Index n, Index poisoned) {
    const linear_case<S> clean({2, 1, 20, 12}, {n});
    const auto before = clean.run(chosen);
    for (const S bad : {std::numeric_limits<S>::quiet_NaN(), std::numeric_limits<S>::infinity(), S(3)}) {
      CAPTURE(n, poisoned, bad);
      auto dirty = clean;
      std::fill_n(dirty.k.row(poisoned), 20, bad);
      std::fill_n(dirty.v.row(poisoned), 12, bad);
      const auto after = dirty.run(chosen);
      CHECK(same_rows(before.out, 0, after.out, 0, poisoned));
      CHECK(same_rows(before.dq, 0, after.dq, 0, poisoned));
      CHECK_FALSE(same_rows(before.out, poisoned, after.out, poisoned, 1));
    }
  };
  for (const Index poisoned : {0, 20, 47, 48, 49, 99}) {
    check(linear(), 100, poisoned);
    check(turning<S>(), 100, poisoned);
  }
  check(linear(), 9, 8);
}

TEMPLATE_TEST_CASE("linear attention: a query that is not finite spoils no later key and no other query", "", float, double) {
  using S = TestType;
  for (const Index poisoned : {20, 66}) {
    const linear_case<S> clean({2, 1, 20, 12}, {100});
    auto dirty = clean;
    std::fill_n(dirty.q.row(poisoned), 40, std::numeric_limits<S>::quiet_NaN());
    std::fill_n(dirty.dout.row(poisoned), 24, std::numeric_limits<S>::infinity());
    const auto before = clean.run(linear()), after = dirty.run(linear());
    const Index next = poisoned + 1, rest = 100 - next;
    CHECK(same_rows(before.dk, next, after.dk, next, rest));
    CHECK(same_rows(before.dv, next, after.dv, next, rest));
    CHECK(same_rows(before.dq, next, after.dq, next, rest));
    CHECK(same_rows(before.dq, 0, after.dq, 0, poisoned));
  }
}
