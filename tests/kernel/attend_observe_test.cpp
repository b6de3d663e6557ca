// SPDX-License-Identifier: MIT
#include <formwork/observer.hpp>

#include "laws/observer_laws.hpp"
#include "oracle/observe.hpp"

namespace fw = formwork;
using fw::Index;
using oracle::row_numbers;

namespace {

/// Any mask: which one is a number, to the kernel it is one type.
struct any_mask {
  using plugs_into = fw::slot::mask;
  static constexpr bool sees_ahead = true;
  std::variant<fw::causal, fw::full, oracle::sinks_and_window, oracle::ahead_with_blind_rows> mask;

  auto ask(auto f) const { return std::visit(f, mask); }
  fw::key_spans spans(fw::query_site q) const {
    return ask([&](const auto& m) { return m.spans(q); });
  }
  Index count(fw::query_site q) const {
    return ask([&](const auto& m) { return m.count(q); });
  }
  bool visible(fw::query_site q, Index key) const {
    return ask([&](const auto& m) { return m.visible(q, key); });
  }
};
struct any_scale {
  using plugs_into = fw::slot::scale;
  std::variant<fw::inv_sqrt, fw::log_n, oracle::by_visible_keys> scale;
  double operator()(fw::scale_site at) const {
    return std::visit([&](const auto& s) { return s(at); }, scale);
  }
};

/// The four numbers of every row, by the oracle.
template <class S>
std::vector<fw::matrix<S>> expected(const auto& one, const auto& chosen, const fw::matrix<S>* mix) {
  std::vector<fw::matrix<S>> r(4, fw::matrix<S>(one.q.rows(), one.shape.heads));
  oracle::each_row<S>(one.q, one.k, one.batch, one.key_batch, one.shape, chosen, mix,
                      [&](Index row, Index h, const oracle::seen_keys<S>& seen) {
                        r[0](row, h) = row_numbers::row_entropy(seen);
                        r[1](row, h) = row_numbers::largest_logit(seen);
                        r[2](row, h) = row_numbers::expected_distance(seen);
                        r[3](row, h) = row_numbers::first_key_weight(seen);
                      });
  return r;
}
template <class S>
std::vector<fw::matrix<S>> ours(const auto& one, const auto& chosen) {
  return laws::observed<S>(one, chosen, fw::row_entropy{}, fw::largest_logit{}, fw::expected_distance{}, fw::first_key_weight{});
}

/// The accuracy rule. `part`: what the numbers are sums of.
void check(checks::trial& t, const std::vector<fw::matrix<float>>& got, const std::vector<fw::matrix<float>>& naive,
           const std::vector<fw::matrix<double>>& exact, const std::vector<fw::matrix<double>>& wide) {
  const char* names[] = {"row_entropy", "largest_logit", "expected_distance", "first_key_weight"};
  for (std::size_t n = 0; n < 4; ++n) {
    t.accurate(names[n], got[n], naive[n], exact[n], 3, 1);
    t.accurate(names[n], wide[n], exact[n]);
  }
}

template <class Score, class Weights>
void check_apart(checks::trial& t, const any_mask& mask, const any_scale& scale, double spread) {
  const Index group = t.size(3), key_heads = t.size(3);
  const cases::random_sequences batch(t, 400);
  const cases::attention_case<float> small({group * key_heads, key_heads, t.size(70), 2}, batch.queries, batch.keys, spread,
                                           t.seed());
  const cases::attention_case<double> wide(small);
  const fw::attend_policies chosen{mask, scale, Score{}, Weights{}, fw::grouped{}};
  check(t, ours<float>(small, chosen), expected<float>(small, chosen, nullptr), expected<double>(wide, chosen, nullptr),
        ours<double>(wide, chosen));
}
template <class Score, class Weights>
void check_meeting(checks::trial& t, const any_mask& mask, const any_scale& scale, double spread) {
  const cases::random_sequences batch(t, 300);
  const cases::talking_case<float> small(cases::talking(t.size(4), t.size(5), t.size(3), t.size(40), 2), batch.queries,
                                         batch.keys, spread, t.seed());
  const cases::talking_case<double> wide(small);
  const auto chosen = [&](const auto& one) {
    return fw::attend_policies{mask, scale, Score{}, Weights{}, one.policies(cases::mechanisms{mask}).heads};
  };
  check(t, ours<float>(small, chosen(small)), expected<float>(small, chosen(small), &small.score_mix),
        expected<double>(wide, chosen(wide), &wide.score_mix), ours<double>(wide, chosen(wide)));
}

void random_case(checks::trial& t) {
  any_mask masks[] = {{fw::causal{}}, {fw::full{}}, {oracle::sinks_and_window{t.size(30, 0), t.size(100)}},
                      {oracle::ahead_with_blind_rows{}}};
  any_scale scales[] = {{fw::inv_sqrt{}}, {fw::log_n{.base = 16}}, {oracle::by_visible_keys{}}};
  const any_mask mask = masks[t.below(4)];
  const any_scale scale = scales[t.below(3)];
  const double spread = t.any({0.3, 1.5});
  const auto with = [&]<class Score, class Weights>(Score, Weights) {
    if (t.once_in(3))
      check_meeting<Score, Weights>(t, mask, scale, spread);
    else
      check_apart<Score, Weights>(t, mask, scale, spread);
  };
  switch (t.below(5)) {
    case 0:
      return with(fw::plain{}, fw::softmax{});
    case 1:
      return with(fw::softcap{3}, fw::softmax{});
    case 2:
      return with(fw::plain{}, fw::l2_normalized{});
    case 3:
      return with(oracle::squashed_recency{}, fw::relu_squared{});
    default:
      return with(fw::plain{}, fw::sigmoid_weights{});
  }
}

}  // namespace

TEST_CASE("observers see what the formulas say, for random shapes, masks, scales, scores, weights and heads") {
  checks::sweep(checks::few_cases, random_case);
}

TEST_CASE("observers see the rows of the worked example") {
  cases::attention_case<double> one({1, 1, 3, 2}, {2}, {3});
  const auto set = [](fw::matrix<double>& m, std::initializer_list<double> to) { std::copy(to.begin(), to.end(), m.data()); };
  set(one.q, {1, 0, 2, 0, 1, -1});
  set(one.k, {1, 1, 0, 0, 2, 1, 1, -1, 1});
  const auto seen = ours<double>(one, cases::policies(fw::full{}));
  const double root = std::sqrt(3.0);
  // P = [[.16794345, .29915971, .53289684], [.45936435, .45936435, .08127130]] and scores [1, 2, 3], [1, 1, -2] / √3.
  const double expected[4][2] = {{0.9960717553591163, 0.9186776086957988},
                                 {3 / root, 1 / root},
                                 {-.29915971 - 2 * .53289684, .45936435 - .08127130},
                                 {.16794345, .45936435}};
  for (std::size_t n = 0; n < 4; ++n)
    for (Index i = 0; i < 2; ++i) CHECK(std::abs(seen[n](i, 0) - expected[n][i]) < 3e-8);
}

TEST_CASE("observing is refused for shapes that do not fit, in words that tell what is needed") {
  const cases::attention_case<float> one({2, 2, 4, 3}, {5});
  const auto chosen = cases::policies(fw::causal{});
  fw::matrix<float> kept(5, 2), seen(5, 2), narrow(5, 1);
  const auto observe = [&](fw::matrix<float>& to, const fw::matrix<float>& by, const fw::matrix<float>& k) {
    fw::attend_observe<float>({to}, by, one.q, k, one.batch, one.batch, one.shape, chosen, std::tuple(fw::row_entropy{}));
  };
  CHECK_THROWS_WITH(observe(narrow, kept, one.k), ContainsSubstring("what is observed is (5 × 1); needs (5 × 2)"));
  CHECK_THROWS_WITH(observe(seen, narrow, one.k), ContainsSubstring("kept is (5 × 1); needs (5 × 2)"));
  CHECK_THROWS_WITH(observe(seen, kept, narrow), ContainsSubstring("k is (5 × 1); needs (5 × 8)"));
  const fw::key_value_cache<float> two(2, 8, one.shape);
  CHECK_THROWS_WITH(fw::attend_observe<float>({seen}, kept, one.q, two, one.batch, one.shape, chosen,
                                              std::tuple(fw::row_entropy{})),
                    ContainsSubstring("1 sequences of queries but 2 of keys"));
}
