// SPDX-License-Identifier: MIT
#include "kernel/attend_cases.hpp"

namespace fw = formwork;
using cases::attention_case;
using cases::policies;
using fw::Index;

namespace {

fw::matrix<double> rows_of(Index rows, Index cols, const std::vector<double>& values) {
  fw::matrix<double> m(rows, cols);
  for (Index i = 0; i < m.size(); ++i) m.data()[i] = values[static_cast<std::size_t>(i)];
  return m;
}

/// The accuracy rule on outputs and gradients, in float and double.
template <class Policies>
void check_case(const attention_case<float>& small, const Policies& chosen) {
  CAPTURE(small.batch.rows(), small.key_batch.rows(), small.shape.heads, small.shape.key_heads, small.shape.key_width,
          small.shape.head_width);
  const attention_case<double> wide(small);
  const auto exact = wide.expect(chosen), ours_wide = wide.run(chosen);
  const auto naive = small.expect(chosen), ours = small.run(chosen);
  const auto both = [](const char* what, const auto& o, const auto& n, const auto& w, const auto& e, double times) {
    checks::check_accuracy(what, o, n, e, times);
    checks::check_accuracy(what, w, w, e, times);
  };
  both("out", ours.out, naive.out, ours_wide.out, exact.out, 2);
  both("dq", ours.dq, naive.dq, ours_wide.dq, exact.dq, 3);
  both("dk", ours.dk, naive.dk, ours_wide.dk, exact.dk, 3);
  both("dv", ours.dv, naive.dv, ours_wide.dv, exact.dv, 3);
  for (Index i = 0; i < exact.lse.size(); ++i) {
    if (std::isinf(exact.lse.data()[i]))
      CHECK(ours.lse.data()[i] == -std::numeric_limits<float>::infinity());
    else
      CHECK(std::abs(ours.lse.data()[i] - exact.lse.data()[i]) <= 4e-6 * (1 + std::abs(exact.lse.data()[i])));
  }
}

void random_case(checks::trial& t) {
  const Index group = t.size(4), key_heads = t.size(4), key_width = t.size(140), head_width = t.size(140);
  const double work = t.once_in(20) ? 8e6 : 1e6;
  const auto rows = static_cast<Index>(std::sqrt(work / double(group * key_heads * (key_width + head_width))));
  const cases::random_sequences batch(t, std::max<Index>(rows, 2));
  const fw::head_shape shape{group * key_heads, key_heads, key_width, head_width};
  const double spread = t.any({0.3, 1.5});
  const attention_case<float> small(shape, batch.queries, batch.keys, spread, t.seed());
  const attention_case<double> wide(small);
  const auto check = [&](const auto& chosen) {
    cases::check_attended(t, small.run(chosen, t.anywhere()), small.expect(chosen), wide.expect(chosen),
                          wide.run(chosen, t.anywhere()));
  };
  switch (t.below(6)) {
    case 0:
      return check(policies(fw::causal{}));
    case 1:
      return check(policies(fw::full{}));
    case 2:
      return check(policies(fw::causal{}, oracle::by_visible_keys{}, fw::softcap{3}));
    case 3:
      return check(policies(fw::full{}, fw::inv_sqrt{}, oracle::squashed_recency{}));
    case 4:
      return check(policies(oracle::sinks_and_window{t.size(30, 0), t.size(100)}, oracle::by_visible_keys{}));
    default:
      return check(policies(oracle::ahead_with_blind_rows{}, fw::inv_sqrt{}, fw::softcap{3}));
  }
}

}  // namespace

TEST_CASE("attention gives the worked example, forward and backward, to 1e-8") {
  attention_case<double> one({1, 1, 3, 2}, {2}, {3});
  one.q = rows_of(2, 3, {1, 0, 2, 0, 1, -1});
  one.k = rows_of(3, 3, {1, 1, 0, 0, 2, 1, 1, -1, 1});
  one.v = rows_of(3, 2, {1, 2, 3, 4, 5, 6});
  one.dout = rows_of(2, 2, {1, 0, 0, 1});
  const auto got = one.run(policies(fw::full{}));
  CHECK(checks::largest_error(got.out, rows_of(2, 2, {3.72990677, 4.72990677, 2.24381389, 3.24381389})) < 1e-8);
  CHECK(checks::largest_error(
            got.dq, rows_of(2, 3, {.12606945, -.90760388, .26469776, -.20055124, -.05810031, .32987702})) < 1e-8);
  CHECK(checks::largest_error(got.dk, rows_of(3, 3,
                                              {-.26469776, -.32987702, -.19951849, -.12606945, .20055124, -.45269015,
                                               .39076721, .12932578, .65220865})) < 1e-8);
  CHECK(checks::largest_error(
            got.dv, rows_of(3, 2, {.16794345, .45936435, .29915971, .45936435, .53289684, .08127130})) < 1e-8);
}

TEST_CASE("attention is as accurate as the rule asks at every length around a tile's edge") {
  for (const Index n : {1, 2, 7, 8, 9, 15, 16, 17, 47, 48, 49, 63, 64, 65, 191, 192, 193, 383, 385}) {
    const attention_case<float> one({1, 1, 5, 3}, {n});
    check_case(one, policies(fw::causal{}));
    check_case(one, policies(fw::full{}));
  }
}

TEST_CASE("attention is as accurate as the rule asks at any key and head width, equal or not") {
  for (const Index key_width : {1, 2, 3, 4, 8, 15, 16, 17, 33, 64})
    for (const Index head_width : {1, 5, 16, 31, 48, 64, 80, 129})
      check_case(attention_case<float>({1, 1, key_width, head_width}, {37}), policies(fw::causal{}));
}

TEST_CASE(
    "attention is as accurate as the rule asks over ragged batches, with empty sequences, grouped and shared key "
    "heads") {
  for (const Index key_heads : {6, 3, 2, 1}) {
    const attention_case<float> one({6, key_heads, 8, 12}, {70, 0, 1, 33});
    check_case(one, policies(fw::causal{}));
    check_case(one, policies(fw::full{}));
  }
}

TEST_CASE("attention is as accurate as the rule asks to the keys of other sequences") {
  const attention_case<float> one({2, 1, 8, 6}, {5, 40, 1, 3}, {61, 2, 0, 400});
  check_case(one, policies(fw::full{}));
}

TEST_CASE("attention is as accurate as the rule asks with a formula, a scale by visible keys and unusual masks") {
  for (const Index n : {8, 30, 75, 430}) {
    const attention_case<float> one({2, 2, 7, 9}, {n, 3});
    check_case(one, policies(fw::causal{}, oracle::by_visible_keys{}, fw::softcap{3}));
    check_case(one, policies(fw::full{}, fw::inv_sqrt{}, oracle::squashed_recency{}));
    check_case(one, policies(oracle::sinks_and_window{}, oracle::by_visible_keys{}));
    check_case(one, policies(oracle::ahead_with_blind_rows{}, fw::inv_sqrt{}, fw::softcap{3}));
  }
}

TEST_CASE("attention is as accurate as the rule asks over more queries and keys than are packed at once") {
  const Index queries = fw::backward_queries + 70, keys = fw::backward_keys + 70;
  static_assert(fw::backward_queries > fw::queries_together && fw::backward_queries > fw::backward_keys);
  check_case(attention_case<float>({2, 1, 3, 3}, {queries}), policies(fw::causal{}));
  check_case(attention_case<float>({1, 1, 3, 3}, {fw::queries_together + 9}, {keys}), policies(fw::full{}));
  check_case(attention_case<float>({1, 1, 3, 3}, {queries}), policies(oracle::sinks_and_window{}));
}

TEST_CASE("attention is as accurate as the rule asks over random shapes") {
  checks::sweep(checks::few_cases, random_case);
}
TEST_CASE("attention is as accurate as the rule asks over 2000 random shapes", "[.slow]") {
  checks::sweep(checks::many_cases, random_case);
}

TEST_CASE("attention is as accurate as the rule asks where scores are large") {
  check_case(attention_case<float>({1, 1, 16, 16}, {200}, {200}, 3), policies(fw::causal{}));
}

TEST_CASE("a row that sees nothing gives zeros and zero gradients") {
  const attention_case<float> one({2, 1, 8, 6}, {40});
  const auto got = one.run(policies(oracle::ahead_with_blind_rows{}));
  for (Index i = 1; i < 40; i += 3) {
    CHECK(std::all_of(got.out.row(i), got.out.row(i) + got.out.cols(), [](float x) { return x == 0; }));
    CHECK(std::all_of(got.dq.row(i), got.dq.row(i) + got.dq.cols(), [](float x) { return x == 0; }));
  }
  const attention_case<float> no_keys({2, 1, 8, 6}, {4}, {0});
  const auto nothing = no_keys.run(policies(fw::full{}));
  CHECK(checks::largest_of(nothing.out) == 0);
  CHECK(checks::largest_of(nothing.dq) == 0);
}

TEST_CASE("keys without queries get zero gradients") {
  const attention_case<float> one({2, 1, 8, 6}, {0}, {4});
  const auto got = one.run(policies(fw::full{}));
  CHECK(checks::largest_of(got.dk) == 0);
  CHECK(checks::largest_of(got.dv) == 0);
}

TEST_CASE("an empty batch is no work") {
  const attention_case<float> nothing({2, 1, 8, 6}, fw::sequences{}), empty({2, 1, 8, 6}, {0, 0});
  CHECK(nothing.run(policies(fw::causal{})).out.rows() == 0);
  CHECK(empty.run(policies(fw::causal{})).out.rows() == 0);
}

TEST_CASE("gradients match central differences to 1e-6, formulas included") {
  const auto check = [](attention_case<double> one, const auto& chosen) {
    const auto got = one.run(chosen);
    const auto objective = [&] {
      fw::matrix<double> out(got.out.rows(), got.out.cols()), lse(got.lse.rows(), got.lse.cols());
      fw::attend_forward<double>(out, lse, one.q, one.k, one.v, one.batch, one.key_batch, one.shape, chosen);
      double sum = 0;
      for (Index i = 0; i < out.size(); ++i) sum += out.data()[i] * one.dout.data()[i];
      return sum;
    };
    checks::check_gradient("dq", one.q, got.dq, objective);
    checks::check_gradient("dk", one.k, got.dk, objective);
    checks::check_gradient("dv", one.v, got.dv, objective);
  };
  const attention_case<double> ragged({4, 2, 3, 5}, {9, 1, 6}), cross({2, 2, 4, 3}, {3, 5}, {7, 2});
  check(ragged, policies(fw::causal{}));
  check(ragged, policies(fw::causal{}, fw::inv_sqrt{}, fw::softcap{2}));
  check(ragged, policies(oracle::sinks_and_window{1, 3}, oracle::by_visible_keys{}, oracle::squashed_recency{}));
  check(cross, policies(fw::full{}));
  check(cross, policies(oracle::ahead_with_blind_rows{}, fw::inv_sqrt{}, fw::softcap{2}));
}

TEST_CASE("adding the same number to all scores of a row changes no weight") {
  const attention_case<double> one({1, 1, 4, 4}, {50});
  auto moved = one;  // another coordinate, in which all keys agree: q · k grows by 3 q_3
  for (Index i = 0; i < 50; ++i) moved.k(i, 3) = 1;
  auto shifted = moved;
  for (Index i = 0; i < 50; ++i) shifted.k(i, 3) = 4;
  const auto a = moved.run(policies(fw::causal{})), b = shifted.run(policies(fw::causal{}));
  CHECK(checks::largest_error(a.out, b.out) < 1e-13);
  CHECK(checks::largest_error(a.dv, b.dv) < 1e-13);
}

TEST_CASE("keys and values in another order give the same output, and their gradients in that order") {
  const attention_case<double> one({1, 1, 6, 5}, {20}, {90});
  auto turned = one;
  for (Index j = 0; j < 90; ++j) {
    const Index from = j * 37 % 90;
    std::copy_n(one.k.row(from), 6, turned.k.row(j));
    std::copy_n(one.v.row(from), 5, turned.v.row(j));
  }
  const auto a = one.run(policies(fw::full{})), b = turned.run(policies(fw::full{}));
  CHECK(checks::largest_error(a.out, b.out) < 1e-13);
  for (Index j = 0; j < 90; ++j)
    for (Index d = 0; d < 6; ++d) CHECK(b.dk(j, d) == Approx(a.dk(j * 37 % 90, d)).margin(1e-13));
}

TEST_CASE("a continued gradient adds to what is there") {
  const attention_case<float> one({2, 1, 5, 6}, {20, 3});
  const auto chosen = policies(fw::causal{});
  const auto fresh = one.run(chosen);
  fw::matrix<float> dq(23, 10, 2.0f), dk(23, 5, 3.0f), dv(23, 6, 4.0f);
  constexpr auto more = fw::start::continued;
  fw::attend_backward<float>(dq, dk, dv, one.dout, fresh.out, fresh.lse, one.q, one.k, one.v, one.batch, one.batch,
                             one.shape, chosen, more, more, more);
  for (Index i = 0; i < dq.size(); ++i) REQUIRE(dq.data()[i] == 2.0f + fresh.dq.data()[i]);
  for (Index i = 0; i < dk.size(); ++i) REQUIRE(dk.data()[i] == 3.0f + fresh.dk.data()[i]);
  for (Index i = 0; i < dv.size(); ++i) REQUIRE(dv.data()[i] == 4.0f + fresh.dv.data()[i]);
}

TEST_CASE("shapes that do not fit are refused with what they are and what is needed") {
  const attention_case<float> one({4, 2, 5, 6}, {20});
  fw::matrix<float> out(20, 24), narrow(20, 23), lse(20, 4);
  const auto call = [&](fw::view<float> to, fw::view<const float> k, fw::head_shape shape) {
    fw::attend_forward<float>(to, lse, one.q, k, one.v, one.batch, one.batch, shape, policies(fw::causal{}));
  };
  CHECK_THROWS_WITH(call(narrow, one.k, one.shape), ContainsSubstring("the output is (20 × 23); needs (20 × 24)"));
  CHECK_THROWS_WITH(call(out, one.v, one.shape), ContainsSubstring("k is (20 × 12); needs (20 × 10)"));
  CHECK_THROWS_WITH(call(out, one.k, {4, 3, 5, 6}), ContainsSubstring("4 heads on 3 key heads"));
  CHECK_THROWS_WITH(call(out, one.k, {0, 2, 5, 6}), ContainsSubstring("0 heads on 2 key heads"));
  fw::matrix<float> dq(20, 20), dk(20, 10), dv(20, 12);
  const auto back = [&](fw::view<float> to_q, fw::view<float> to_k, fw::view<float> to_v, fw::view<const float> from) {
    fw::attend_backward<float>(to_q, to_k, to_v, one.dout, from, lse, one.q, one.k, one.v, one.batch, one.batch, one.shape,
                               policies(fw::causal{}));
  };
  CHECK_THROWS_WITH(back(dq, dk, dv, narrow), ContainsSubstring("the output is (20 × 23); needs (20 × 24)"));
  CHECK_THROWS_WITH(back(narrow, dk, dv, out), ContainsSubstring("q is (20 × 23); needs (20 × 20)"));
  CHECK_THROWS_WITH(back(dq, narrow, dv, out), ContainsSubstring("k is (20 × 23); needs (20 × 10)"));
  CHECK_THROWS_WITH(back(dq, dk, narrow, out), ContainsSubstring("v is (20 × 23); needs (20 × 12)"));
  fw::key_value_cache<float> cache(1, 30, one.shape);
  cache.append(one.k, one.v, one.batch);
  CHECK_THROWS_WITH(cache.append(one.k, one.v, one.batch),
                    ContainsSubstring("sequence 0 holds 20 keys and 20 more come, but its capacity is 30"));
  CHECK(cache.length(0) == 20);
}
