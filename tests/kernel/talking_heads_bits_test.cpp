// SPDX-License-Identifier: MIT
#include "kernel/attention_bits.hpp"
#include "kernel/talking_cases.hpp"

#include <vector>

namespace fw = formwork;
using bits::alone;
using bits::same_rows;
using cases::mechanisms;
using cases::talked;
using cases::talking;
using cases::talking_case;
using fw::Index;

namespace {

const mechanisms causal{fw::causal{}};
const mechanisms window{oracle::sinks_and_window{}, oracle::by_visible_keys{}, fw::softcap{3}};

/// Calls of `counts` of each sequence against one cache give the rows of the full forward.
template <class S>
void check_splits(const talking_case<S>& all, const auto& chosen, const std::vector<std::vector<Index>>& calls) {
  const auto whole = all.run(chosen).plain;
  fw::key_value_cache<S> cache(all.batch.count(), all.batch.longest(), all.shape);
  bits::calls_give_the_rows_of<S>({&whole.out, &whole.lse}, all, calls, [&](const auto& part, const auto& q, const auto& k, const auto& v) {
    std::vector<fw::matrix<S>> got{{part.rows(), all.dout.cols()}, {part.rows(), all.shape.heads}};
    cache.append(k, v, part);
    fw::attend_forward<S>(got[0], got[1], q, cache, part, all.shape, all.policies(chosen));
    return got;
  });
}

}  // namespace

TEMPLATE_TEST_CASE("talking heads give the same bits every run and on 1, 2, 3 and 8 threads", "", float, double) {
  const talking_case<TestType> one(talking(2, 3, 4, 10, 12), {1100, 1, 0, 77});  // the first in two groups of strips
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

TEMPLATE_TEST_CASE("talking heads: a sequence alone has the bits it has in a ragged batch, outputs and all gradients",
                   "", float, double) {
  const talking_case<TestType> all(talking(2, 3, 4, 20, 12), {130, 1, 9, 0, 500});
  const auto check = [&](const auto& chosen) {
    const auto whole = all.run(chosen).plain;
    for (Index s = 0; s < all.batch.count(); ++s) {
      auto one = alone(all, s);
      one.score_mix = all.score_mix, one.weight_mix = all.weight_mix;
      const auto single = one.run(chosen).plain;
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
  check(mechanisms{fw::full{}});
}

TEMPLATE_TEST_CASE("talking heads: prefill in any split, then single steps, equals the full forward bit for bit", "",
                   float, double) {
  constexpr Index longest = 2 * fw::mixed_key_block + 3;
  const talking_case<TestType> all(talking(3, 4, 2, 20, 12), {longest, 5, 200});
  SECTION("two whole key blocks, then steps") {
    const std::vector<std::vector<Index>> calls = {{2 * fw::mixed_key_block, 5, 200}, {1, 0, 0}, {1, 0, 0}, {1, 0, 0}};
    check_splits(all, causal, calls);
    check_splits(all, window, calls);
  }
  SECTION("ends inside panels, tiles and blocks") {
    const std::vector<std::vector<Index>> calls = {{1, 1, 199}, {46, 3, 0}, {2, 0, 1},
                                                   {144, 0, 0}, {1, 1, 0},  {193, 0, 0}};
    check_splits(all, causal, calls);
    check_splits(all, window, calls);
  }
  SECTION("one by one") {
    const talking_case<TestType> small(talking(2, 2, 3, 20, 12), {60, 33});
    std::vector<std::vector<Index>> calls(60, {1, 0});
    for (std::size_t i = 20; i < 53; ++i) calls[i][1] = 1;
    check_splits(small, causal, calls);
    check_splits(small, window, calls);
  }
}

TEMPLATE_TEST_CASE("talking heads give the same bits at 16 buffer offsets and any row gap", "", float, double) {
  using checks::shifted;
  using S = TestType;
  const talking_case<S> one(talking(2, 3, 2, 9, 11), {50, 3});
  const auto expected = one.run(causal);
  for (Index offset = 0; offset < 16; ++offset) {
    const Index gap = offset * 5 % 7;
    shifted<S> q(one.q, offset, gap), k(one.k, 15 - offset, gap), v(one.v, offset), dout(one.dout, 15 - offset),
        out(expected.plain.out, offset), lse(expected.plain.lse, offset, gap), dq(expected.plain.dq, 15 - offset),
        dk(expected.plain.dk, offset), dv(expected.plain.dv, offset, gap), score_mix(one.score_mix, offset, gap),
        weight_mix(one.weight_mix, 15 - offset), dscores(expected.dscores, offset),
        dweights(expected.dweights, offset, gap);
    const fw::attend_policies chosen{fw::causal{}, fw::inv_sqrt{}, fw::plain{}, fw::softmax{},
                                     fw::head_mixing<S>{score_mix.view(), weight_mix.view()}};
    fw::attend_forward<S>(out.view(), lse.view(), q.view(), k.view(), v.view(), one.batch, one.batch, one.shape,
                          chosen);
    fw::attend_backward<S>(dq.view(), dk.view(), dv.view(),
                           fw::head_mixing_gradient<S>{dscores.view(), dweights.view()}, dout.view(), out.view(),
                           lse.view(), q.view(), k.view(), v.view(), one.batch, one.batch, one.shape, chosen);
    CAPTURE(offset);
    CHECK(cases::same_bits({{out.copy(), lse.copy(), dq.copy(), dk.copy(), dv.copy()}, dscores.copy(), dweights.copy()},
                           expected));
  }
}

TEMPLATE_TEST_CASE(
    "talking heads: a masked key or value changes no bit of an output or a gradient, be it NaN or infinite", "", float,
    double) {
  using S = TestType;
  const auto check = [](const auto& chosen, Index n, Index poisoned) {
    bits::poison_spoils_only_who_sees_it<S>(talking_case<S>(talking(2, 3, 2, 20, 12), {n}), chosen.mask, poisoned,
                                            [&](const auto& one) { return one.run(chosen).plain; });
  };
  check(causal, 50, 20);
  check(causal, 9, 8);
  check(causal, 200, 193);
  check(causal, 450, 390);
  check(window, 100, 50);
  check(window, 100, 97);
  check(mechanisms{oracle::ahead_with_blind_rows{}}, 60, 30);
}

TEST_CASE("talking heads: a key that no query sees changes no gradient of the mixing matrices, be it NaN") {
  const mechanisms chosen{oracle::sinks_and_window{3, 20}};
  const talking_case<double> clean(talking(2, 3, 2, 6, 5), {10}, {40});  // key 39 is ahead of every query
  auto dirty = clean;
  std::fill_n(dirty.k.row(39), dirty.k.cols(), std::numeric_limits<double>::quiet_NaN());
  std::fill_n(dirty.v.row(39), dirty.v.cols(), std::numeric_limits<double>::quiet_NaN());
  const auto before = clean.run(chosen), after = dirty.run(chosen);
  CHECK(checks::same_bits(before.dscores, after.dscores));
  CHECK(checks::same_bits(before.dweights, after.dweights));
  CHECK(checks::same_bits(before.plain.dq, after.plain.dq));
}

TEMPLATE_TEST_CASE("talking heads: a query that is not finite spoils no key it does not see", "", float, double) {
  using S = TestType;
  const auto check = [](const auto& chosen, Index n, Index poisoned) {
    const talking_case<S> clean(talking(2, 3, 2, 20, 12), {n});
    auto dirty = clean;
    std::fill_n(dirty.q.row(poisoned), dirty.q.cols(), std::numeric_limits<S>::quiet_NaN());
    std::fill_n(dirty.dout.row(poisoned), dirty.dout.cols(), std::numeric_limits<S>::infinity());
    const auto before = clean.run(chosen).plain, after = dirty.run(chosen).plain;
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
