// SPDX-License-Identifier: MIT
#include "kernel/attend_cases.hpp"
#include "kernel/attention_bits.hpp"

#include <vector>

namespace fw = formwork;
using cases::attended;
using cases::attention_case;
using cases::policies;
using bits::alone;
using bits::same_rows;
using fw::Index;

namespace {

const auto causal = policies(fw::causal{});
const auto window = policies(oracle::sinks_and_window{}, oracle::by_visible_keys{}, fw::softcap{3});

/// Calls of `counts` of each sequence against one cache give the rows of the full forward.
template <class S, class Policies>
void check_splits(const attention_case<S>& all, const Policies& chosen, const std::vector<std::vector<Index>>& calls) {
  const attended<S> whole = all.run(chosen);
  fw::key_value_cache<S> cache(all.batch.count(), all.batch.longest(), all.shape);
  bits::calls_give_the_rows_of<S>({&whole.out, &whole.lse}, all, calls, [&](const auto& part, const auto& q, const auto& k, const auto& v) {
    std::vector<fw::matrix<S>> got{{part.rows(), all.dout.cols()}, {part.rows(), all.shape.heads}};
    cache.append(k, v, part);
    fw::attend_forward<S>(got[0], got[1], q, cache, part, all.shape, chosen);
    return got;
  });
}

}  // namespace

TEMPLATE_TEST_CASE("attention gives the same bits every run and on 1, 2, 3 and 8 threads", "", float, double) {
  const attention_case<TestType> one({4, 2, 20, 12}, {130, 1, 0, 77});
  const int before = fw::threads();
  fw::threads(1);
  const auto expected = one.run(causal), expected_window = one.run(window);
  for (const int n : {1, 2, 3, 8}) {
    fw::threads(n);
    CAPTURE(n);
    CHECK(cases::same_bits(one.run(causal), expected));
    CHECK(cases::same_bits(one.run(window), expected_window));
  }
  fw::threads(before);
}

TEMPLATE_TEST_CASE("a sequence alone has the bits it has in a ragged batch, outputs and all gradients", "", float,
                   double) {
  const attention_case<TestType> all({4, 2, 20, 12}, {130, 1, 9, 0, 500});
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
  check(causal);
  check(window);
  check(policies(fw::full{}));
}

TEMPLATE_TEST_CASE("prefill in any split, then single steps, equals the full forward bit for bit", "", float, double) {
  constexpr Index longest = 2 * fw::key_block + 3;
  const attention_case<TestType> all({4, 2, 20, 12}, {longest, 5, 400});
  SECTION("two whole key blocks, then steps") {
    check_splits(all, causal, {{2 * fw::key_block, 5, 400}, {1, 0, 0}, {1, 0, 0}, {1, 0, 0}});
    check_splits(all, window, {{2 * fw::key_block, 5, 400}, {1, 0, 0}, {1, 0, 0}, {1, 0, 0}});
  }
  SECTION("ends inside panels, tiles and blocks") {
    const std::vector<std::vector<Index>> calls = {{1, 1, 399}, {46, 3, 0}, {2, 0, 1},
                                                   {335, 0, 0}, {1, 1, 0},  {386, 0, 0}};
    check_splits(all, causal, calls);
    check_splits(all, window, calls);
  }
  SECTION("one by one") {
    const attention_case<TestType> small({2, 1, 20, 12}, {60, 33});
    std::vector<std::vector<Index>> calls(60, {1, 0});
    for (std::size_t i = 20; i < 53; ++i) calls[i][1] = 1;
    check_splits(small, causal, calls);
    check_splits(small, window, calls);
  }
}

TEST_CASE("a cache cut back and filled again forgets what was cut, NaN or not") {
  const attention_case<float> all({2, 1, 20, 12}, {60});
  const auto whole = all.run(causal);
  fw::key_value_cache<float> cache(1, 60, all.shape);
  fw::matrix<float> nan_k(45, 20, NAN), nan_v(45, 12, NAN);
  cache.append(all.k.rows(0, 10), all.v.rows(0, 10), {10});
  cache.append(nan_k, nan_v, {45});
  cache.truncate(0, 10);
  CHECK_THROWS_AS(cache.truncate(0, 11), fw::argument_error);
  SECTION("to nothing") {
    cache.truncate(0, 0);
    cache.append(all.k.rows(0, 10), all.v.rows(0, 10), {10});
  }
  cache.append(all.k.rows(10, 50), all.v.rows(10, 50), {50});
  fw::matrix<float> out(60, 24);
  fw::attend_forward<float>(out, {}, all.q, cache, all.batch, all.shape, causal);
  CHECK(checks::same_bits(out, whole.out));
}

TEMPLATE_TEST_CASE("attention gives the same bits at 16 buffer offsets and any row gap", "", float, double) {
  using checks::shifted;
  const attention_case<TestType> one({2, 1, 9, 11}, {50, 3});
  const auto expected = one.run(causal);
  for (Index offset = 0; offset < 16; ++offset) {
    const Index gap = offset * 5 % 7;
    shifted<TestType> q(one.q, offset, gap), k(one.k, 15 - offset, gap), v(one.v, offset), dout(one.dout, 15 - offset),
        out(expected.out, offset), lse(expected.lse, offset, gap), dq(expected.dq, 15 - offset),
        dk(expected.dk, offset), dv(expected.dv, offset, gap);
    fw::attend_forward<TestType>(out.view(), lse.view(), q.view(), k.view(), v.view(), one.batch, one.batch, one.shape,
                                 causal);
    fw::attend_backward<TestType>(dq.view(), dk.view(), dv.view(), dout.view(), out.view(), lse.view(), q.view(),
                                  k.view(), v.view(), one.batch, one.batch, one.shape, causal);
    CAPTURE(offset);
    CHECK(checks::same_bits(out.copy(), expected.out));
    CHECK(checks::same_bits(lse.copy(), expected.lse));
    CHECK(checks::same_bits(dq.copy(), expected.dq));
    CHECK(checks::same_bits(dk.copy(), expected.dk));
    CHECK(checks::same_bits(dv.copy(), expected.dv));
  }
}

TEMPLATE_TEST_CASE("a masked key or value changes no bit of an output or a gradient, be it NaN or infinite", "", float,
                   double) {
  using S = TestType;
  const auto check = [](const auto& chosen, Index n, Index poisoned) {
    bits::poison_spoils_only_who_sees_it<S>(attention_case<S>({2, 1, 20, 12}, {n}), chosen.mask, poisoned,
                                            [&](const auto& one) { return one.run(chosen); });
  };
  check(causal, 50, 20);
  check(causal, 9, 8);
  check(causal, 200, 193);
  check(causal, 450, 390);
  check(window, 100, 50);
  check(window, 100, 97);
  check(policies(oracle::ahead_with_blind_rows{}), 60, 30);
}

TEMPLATE_TEST_CASE("a query that is not finite spoils no key it does not see", "", float, double) {
  using S = TestType;
  const auto check = [](const auto& chosen, Index n, Index poisoned) {
    const attention_case<S> clean({2, 1, 20, 12}, {n});
    auto dirty = clean;
    std::fill_n(dirty.q.row(poisoned), 40, std::numeric_limits<S>::quiet_NaN());
    std::fill_n(dirty.dout.row(poisoned), 24, std::numeric_limits<S>::infinity());
    const auto before = clean.run(chosen), after = dirty.run(chosen);
    for (Index j = 0; j < n; ++j) {
      CAPTURE(j);
      if (!chosen.mask.visible({poisoned, n, 0}, j)) {
        CHECK(same_rows(before.dk, j, after.dk, j, 1));
        CHECK(same_rows(before.dv, j, after.dv, j, 1));
      }
      if (j != poisoned) CHECK(same_rows(before.dq, j, after.dq, j, 1));
    }
  };
  check(causal, 50, 20);
  check(causal, 260, 66);
  check(window, 100, 50);
}

TEST_CASE("single rows have the bits of the same rows in a tile") {
  const attention_case<float> one({1, 1, 33, 40}, {fw::query_block + 1});  // the last block of queries is a single row
  const attention_case<float> longer = [&] {
    attention_case<float> c({1, 1, 33, 40}, {fw::query_block + 3});
    for (Index i = 0; i <= fw::query_block; ++i) {
      std::copy_n(one.q.row(i), 33, c.q.row(i));
      std::copy_n(one.k.row(i), 33, c.k.row(i));
      std::copy_n(one.v.row(i), 40, c.v.row(i));
    }
    return c;
  }();
  CHECK(same_rows(one.run(causal).out, 0, longer.run(causal).out, 0, fw::query_block + 1));
}
