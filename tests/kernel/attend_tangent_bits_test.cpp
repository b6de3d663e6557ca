// SPDX-License-Identifier: MIT
#include "kernel/attend_tangent_cases.hpp"
#include "kernel/attention_bits.hpp"

// What no bit of a tangent depends on, and what it depends on exactly.

namespace fw = formwork;
using bits::same_rows;
using cases::attended;
using cases::attention_case;
using cases::moving_case;
using cases::policies;
using fw::Index;

namespace {

const auto causal = policies(fw::causal{});
const auto window = policies(oracle::sinks_and_window{}, oracle::by_visible_keys{}, fw::softcap{3});

template <class S>
constexpr S not_a_number = std::numeric_limits<S>::quiet_NaN();

/// Every number of b's is `times` that of a's; -0 is 0.
template <class S>
bool equal(const attended<S>& a, double times, const attended<S>& b) {
  bool same = true;
  for (std::size_t i = 0; i < cases::output_names.size(); ++i)
    for (Index j = 0; j < cases::outputs(a)[i]->size(); ++j)
      same = same && static_cast<S>(times) * cases::outputs(a)[i]->data()[j] == cases::outputs(b)[i]->data()[j];
  return same;
}

}  // namespace

TEMPLATE_TEST_CASE("tangents have the same bits every run, on 1, 2, 3 and 8 threads, anywhere in memory", "", float, double) {
  const moving_case<TestType> one({4, 2, 20, 12}, {130, 1, 0, 77});
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
    checks::numbers random(6);
    for (int trial = 0; trial < 4; ++trial) CHECK(cases::same_bits(one.run(chosen, checks::places(random)), expected));
  };
  check(causal), check(window);
}

TEMPLATE_TEST_CASE("a sequence alone has the tangents it has in a ragged batch", "", float, double) {
  const moving_case<TestType> all({4, 2, 20, 12}, {130, 1, 9, 0, 500});
  const auto whole = all.run(window);
  for (Index s = 0; s < all.at.batch.count(); ++s) {
    const auto single = moving_case<TestType>(bits::alone(all.at, s), bits::alone(all.along, s)).run(window);
    CAPTURE(s);
    for (std::size_t i = 0; i < cases::output_names.size(); ++i)
      CHECK(same_rows(*cases::outputs(single.slope)[i], 0, *cases::outputs(whole.slope)[i], all.at.batch.first(s),
                      all.at.batch.length(s)));
  }
}

TEMPLATE_TEST_CASE("tangents of tokens that come one at a time to a cache are those of all at once", "", float, double) {
  using D = fw::dual_number<TestType>;
  const moving_case<TestType> all({4, 2, 20, 12}, {70});
  const auto both = [](const auto& value, const auto& tangent) { return fw::with_slopes<TestType>({value, tangent}); };
  const auto q = both(all.at.q, all.along.q), k = both(all.at.k, all.along.k), v = both(all.at.v, all.along.v);
  fw::matrix<D> out(70, all.at.dout.cols());
  fw::key_value_cache<D> cache(1, 70, all.at.shape);
  for (Index i = 0; i < 70; ++i) {
    fw::sequences one{1};
    const Index start[] = {i};
    one.starts(start);
    cache.append(k.rows(i, 1), v.rows(i, 1), one);
    fw::attend_forward<D>(out.rows(i, 1), {}, q.rows(i, 1), cache, one, all.at.shape, window);
  }
  fw::matrix<TestType> value(70, out.cols()), tangent(70, out.cols());
  fw::take_apart<TestType>({value, tangent}, out);
  const auto whole = all.run(window);
  CHECK(checks::same_bits(value, whole.value.out));
  CHECK(checks::same_bits(tangent, whole.slope.out));
}

TEMPLATE_TEST_CASE("NaN in keys, values, queries and their tangents reaches no row that does not see them", "", float, double) {
  const Index n = 100;
  const moving_case<TestType> clean({2, 1, 9, 7}, {n});
  const auto expected = clean.run(window);
  const auto rows_agree = [&](const auto& got, Index first, Index count, std::initializer_list<std::size_t> which) {
    for (const std::size_t i : which) {
      CAPTURE(cases::output_names[i]);
      CHECK(same_rows(*cases::outputs(got.value)[i], first, *cases::outputs(expected.value)[i], first, count));
      CHECK(same_rows(*cases::outputs(got.slope)[i], first, *cases::outputs(expected.slope)[i], first, count));
    }
  };
  for (const bool value_too : {true, false}) {
    CAPTURE(value_too);
    const auto spoil = [&](auto member, Index row) {  // NaN in the tangent of a row, or in value and tangent
      moving_case<TestType> r = clean;
      fw::view<TestType> tangent = (r.along.*member).rows(row, 1), value = (r.at.*member).rows(row, 1);
      std::fill_n(tangent.data(), tangent.size(), not_a_number<TestType>);
      if (value_too) std::fill_n(value.data(), value.size(), not_a_number<TestType>);
      return r.run(window);
    };
    using inputs = attention_case<TestType>;
    // Key 50 is seen by queries 50 to 69.
    for (const auto member : {&inputs::k, &inputs::v}) {
      const auto got = spoil(member, 50);
      rows_agree(got, 0, 50, {0, 1, 2}), rows_agree(got, 70, n - 70, {0, 1, 2});
      CHECK(std::isnan(got.slope.out(50, 0)));
    }
    // Query 80 sees keys 0 to 2 and 61 to 80.
    for (const auto member : {&inputs::q, &inputs::dout}) {
      const auto got = spoil(member, 80);
      rows_agree(got, 3, 58, {3, 4}), rows_agree(got, 81, n - 81, {3, 4});
      rows_agree(got, 0, 80, {0, 1, 2}), rows_agree(got, 81, n - 81, {0, 1, 2});
      CHECK(std::isnan(got.slope.dk(70, 0)));
    }
  }
}

TEMPLATE_TEST_CASE("twice the direction is exactly twice the tangent, and none is none", "", float, double) {
  const moving_case<TestType> one({4, 2, 20, 12}, {130, 1, 0, 77});
  const auto along = [&](double a) { return moving_case<TestType>(one.at, combined(a, one.along, 0, one.along)).run(window); };
  const auto once = along(1);
  CHECK(equal(once.slope, 2, along(2).slope));
  CHECK(equal(once.slope, -1, along(-1).slope));
  CHECK(equal(once.slope, 0, along(0).slope));

  // an input that has no tangent is constant
  const auto &at = one.at, zero = combined(0, one.along, 0, one.along);
  fw::matrix<TestType> out(at.dout.rows(), at.dout.cols()), out_t = out;
  fw::attend_tangent<TestType>({out, out_t}, {}, {at.q, one.along.q}, {at.k}, {at.v}, at.batch, at.key_batch, at.shape, window);
  auto queries_alone = zero;
  queries_alone.q = one.along.q;
  CHECK(checks::same_bits(out_t, moving_case<TestType>(at, queries_alone).run(window).slope.out));
}

TEST_CASE("tangents are linear in the direction to rounding") {
  const moving_case<double> u({4, 2, 20, 12}, {130, 1, 0, 77});
  const attention_case<double> v(u.at.shape, u.at.batch, u.at.key_batch, 1, 78);
  const auto along_u = u.run(window), along_v = moving_case<double>(u.at, v).run(window),
             along_both = moving_case<double>(u.at, combined(0.3, u.along, -1.7, v)).run(window);
  for (std::size_t i = 0; i < cases::output_names.size(); ++i) {
    const auto sum = cases::combined(0.3, *cases::outputs(along_u.slope)[i], -1.7, *cases::outputs(along_v.slope)[i]);
    CAPTURE(cases::output_names[i]);
    CHECK(checks::largest_error(*cases::outputs(along_both.slope)[i], sum) <= 1e-13 * (1 + checks::largest_of(sum)));
  }
}

TEST_CASE("tangents of another shape than their values are refused, and outputs of another shape") {
  const moving_case<float> one({2, 1, 8, 6}, {10});
  const auto &at = one.at, &along = one.along;
  fw::matrix<float> out(10, 12), narrow(10, 11);
  const auto call = [&](fw::view<float> to, fw::view<const float> q_tangent) {
    fw::attend_tangent<float>({out, to}, {}, {at.q, q_tangent}, {at.k}, {at.v}, at.batch, at.key_batch, at.shape, causal);
  };
  call(out, along.q);
  CHECK_THROWS_AS(call(narrow, along.q), fw::argument_error);
  CHECK_THROWS_AS(call(out, along.k), fw::argument_error);
}
