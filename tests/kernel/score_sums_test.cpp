// SPDX-License-Identifier: MIT
#include <formwork/attention/biased_scores.hpp>
#include <formwork/score/learned_formula.hpp>

#include "kernel/attend_cases.hpp"

// What scores and weights learn, by the kernel and as the formulas read: a formula's numbers, biases and factors by distance,
// all at once.

namespace fw = formwork;
using cases::attention_case;
using fw::Index;

namespace {

/// The numbers of the heads, and tables that reach as far as any test.
template <class S>
struct learned {
  static constexpr Index reach = 900;
  fw::matrix<S> numbers, biases, factors;

  explicit learned(Index heads) {
    checks::numbers random(8);
    numbers = random.matrix<S>(heads, 2, 0.3, 2);
    biases = random.matrix<S>(heads, 2 * reach + 1, 0.5);
    factors = random.matrix<S>(heads, 2 * reach + 1, 0.5, 1);
  }
  template <class Mask>
  auto policies(Mask mask) const {
    using formula = fw::formula_of_numbers<S, oracle::learned_tanh>;
    return fw::attend_policies{mask, fw::inv_sqrt{},
                               fw::with_bias(formula{{}, numbers}, fw::by_distance<S>{biases, -reach}),
                               fw::distance_weighed<S, fw::softmax>{{}, {factors, -reach}}, fw::grouped{}};
  }
};

template <class S>
struct gradients {
  fw::matrix<S> out, dq, dk, dv, numbers, biases, factors;
  fw::matrix<S> number_parts;  ///< Σ |what is summed|

  bool same_bits_as(const gradients& o) const {
    using checks::same_bits;
    return same_bits(out, o.out) && same_bits(dq, o.dq) && same_bits(dk, o.dk) && same_bits(dv, o.dv) &&
           same_bits(numbers, o.numbers) && same_bits(biases, o.biases) && same_bits(factors, o.factors);
  }
};

template <class S, class Mask>
gradients<S> by_kernel(const attention_case<S>& one, const learned<S>& l, Mask mask, checks::places at = {}) {
  const auto chosen = l.policies(mask);
  const auto output = [&](const fw::matrix<S>& like) { return at.template output<S>(like.rows(), like.cols()); };
  auto q = at(one.q), k = at(one.k), v = at(one.v), dout = at(one.dout);
  auto out = output(one.dout), lse = at.template output<S>(one.q.rows(), one.shape.heads), dq = output(one.q), dk = output(one.k),
       dv = output(one.v), numbers = output(l.numbers), biases = output(l.biases), factors = output(l.factors);
  constexpr auto fresh = fw::start::fresh;
  fw::attend_forward<S>(out, lse, q, k, v, one.batch, one.key_batch, one.shape, chosen);
  fw::attend_backward<S>(dq, dk, dv, dout, out, lse, q, k, v, one.batch, one.key_batch, one.shape, chosen, fresh, fresh, fresh,
                         fw::score_gradients<S>{numbers.view(), biases.view(), factors.view()});
  return {out.copy(), dq.copy(), dk.copy(), dv.copy(), numbers.copy(), biases.copy(), factors.copy(), {}};
}

/// In loops.
template <class S, class Mask>
gradients<S> as_it_reads(const attention_case<S>& one, const learned<S>& l, Mask mask) {
  const auto& [heads, key_heads, d, w, a, b, c] = one.shape;
  const auto zeros = [](const fw::matrix<S>& like) { return fw::matrix<S>(like.rows(), like.cols(), S(0)); };
  gradients<S> r{zeros(one.dout),  zeros(one.q),     zeros(one.k),      zeros(one.v),
                 zeros(l.numbers), zeros(l.biases), zeros(l.factors), zeros(l.numbers)};
  const S scale = static_cast<S>(1 / std::sqrt(static_cast<double>(d)));
  for (Index s = 0; s < one.batch.count(); ++s)
    for (Index h = 0; h < heads; ++h)
      for (Index i = 0; i < one.batch.length(s); ++i) {
        const Index keys = one.key_batch.length(s), row = one.batch.first(s) + i, key_row = one.key_batch.first(s);
        const Index kh = h / (heads / key_heads), position = one.batch.start(s) + i;
        const S height = l.numbers(h, 0), width = l.numbers(h, 1);
        std::vector<S> p(static_cast<std::size_t>(keys)), raw = p, dp = p;
        const auto at = [](Index j) { return static_cast<std::size_t>(j); };
        const auto seen = [&](Index j) { return mask.visible({position, keys, s}, j); };
        const auto column = [&](Index j) { return j - position + learned<S>::reach; };
        S largest = -std::numeric_limits<S>::infinity(), sum = 0, total = 0;
        for (Index j = 0; j < keys; ++j) {
          if (!seen(j)) continue;
          S dot = 0;
          for (Index x = 0; x < d; ++x) dot += one.q(row, h * d + x) * one.k(key_row + j, kh * d + x);
          raw[at(j)] = dot * scale;
          p[at(j)] = height * std::tanh(raw[at(j)] / width) + l.biases(h, column(j));
          largest = std::max(largest, p[at(j)]);
        }
        for (Index j = 0; j < keys; ++j) sum += p[at(j)] = seen(j) ? std::exp(p[at(j)] - largest) : S(0);
        for (Index j = 0; j < keys; ++j) {
          if (!seen(j)) continue;
          p[at(j)] /= sum;
          const S used = p[at(j)] * l.factors(h, column(j));
          S dused = 0;
          for (Index x = 0; x < w; ++x) {
            r.out(row, h * w + x) += used * one.v(key_row + j, kh * w + x);
            r.dv(key_row + j, kh * w + x) += used * one.dout(row, h * w + x);
            dused += one.dout(row, h * w + x) * one.v(key_row + j, kh * w + x);
          }
          r.factors(h, column(j)) += p[at(j)] * dused;
          dp[at(j)] = dused * l.factors(h, column(j));
          total += p[at(j)] * dp[at(j)];
        }
        for (Index j = 0; j < keys; ++j) {
          if (!seen(j)) continue;
          const S dbent = p[at(j)] * (dp[at(j)] - total), t = std::tanh(raw[at(j)] / width), slope = (1 - t) * (1 + t);
          const S parts[] = {dbent * t, -dbent * height * slope * raw[at(j)] / (width * width)};
          r.biases(h, column(j)) += dbent;
          for (Index n = 0; n < 2; ++n) r.numbers(h, n) += parts[n], r.number_parts(h, n) += std::abs(parts[n]);
          for (Index x = 0; x < d; ++x) {
            const S ds = dbent * height * slope / width * scale;
            r.dq(row, h * d + x) += ds * one.k(key_row + j, kh * d + x);
            r.dk(key_row + j, kh * d + x) += ds * one.q(row, h * d + x);
          }
        }
      }
  return r;
}

template <class Mask>
void check_accuracy(const attention_case<double>& one, Mask mask) {
  const attention_case<float> small(one);
  const learned<double> ld(one.shape.heads);
  const learned<float> lf(one.shape.heads);
  const auto oracle = as_it_reads(one, ld, mask), wide = by_kernel(one, ld, mask);
  const auto naive = as_it_reads(small, lf, mask), ours = by_kernel(small, lf, mask);
  const auto check = [&](const char* what, auto member, double times) {
    checks::check_accuracy<float>(what, ours.*(member.first), naive.*(member.first), oracle.*(member.second), times);
    checks::check_accuracy<double>(what, wide.*(member.second), oracle.*(member.second), oracle.*(member.second), times);
  };
  using f = gradients<float>;
  using d = gradients<double>;
  check("out", std::pair(&f::out, &d::out), 2);
  check("dq", std::pair(&f::dq, &d::dq), 3);
  check("dk", std::pair(&f::dk, &d::dk), 3);
  check("dv", std::pair(&f::dv, &d::dv), 3);
  check("biases", std::pair(&f::biases, &d::biases), 3);
  check("factors", std::pair(&f::factors, &d::factors), 3);
  // Thousands of numbers of both signs meet in one: the error is that of their sum without signs.
  for (Index i = 0; i < ours.numbers.size(); ++i) {
    CAPTURE(i);
    const auto error = [&](const auto& got) {
      return std::abs(static_cast<double>(got.numbers.data()[i]) - oracle.numbers.data()[i]);
    };
    const double parts = oracle.number_parts.data()[i];
    CHECK(error(ours) <= 4 * static_cast<double>(std::numeric_limits<float>::epsilon()) * parts);
    CHECK(error(wide) <= 4 * std::numeric_limits<double>::epsilon() * parts);
  }
}

attention_case<double> later_queries() {
  fw::sequences queries{40, 3, 7};
  const Index starts[] = {30, 397, 0};
  queries.starts(starts);
  return {{4, 2, 9, 7}, queries, {70, 400, 7}};
}

}  // namespace

TEST_CASE("numbers, biases and factors get the gradients of the loops, as accurately") {
  const attention_case<double> same({4, 2, 9, 7}, {70, 1, 0, 450}), later = later_queries();
  check_accuracy(same, fw::causal{});
  check_accuracy(same, oracle::sinks_and_window{});
  check_accuracy(same, oracle::ahead_with_blind_rows{});
  check_accuracy(later, fw::causal{});
  check_accuracy(later, fw::full{});
}

TEMPLATE_TEST_CASE("learned gradients: bits depend neither on threads, nor on where buffers lie, nor on masked NaN", "", float,
                   double) {
  const attention_case<TestType> one({4, 2, 9, 7}, {70, 1, 0, 450});
  const learned<TestType> l(4);
  const auto expected = by_kernel(one, l, fw::causal{});
  const int before = fw::threads();
  for (const int n : {1, 2, 3, 8}) {
    fw::threads(n);
    CAPTURE(n);
    CHECK(by_kernel(one, l, fw::causal{}).same_bits_as(expected));
  }
  fw::threads(before);
  checks::numbers random(4);
  for (int i = 0; i < 4; ++i) CHECK(by_kernel(one, l, fw::causal{}, checks::places(random)).same_bits_as(expected));

  // Nobody sees the keys between the first three and a window of 20 that comes after them: only those before the last queries.
  fw::sequences last{5};
  const Index at[] = {195};
  last.starts(at);
  attention_case<TestType> window({4, 2, 9, 7}, last, {200}), broken = window;
  for (Index j = 3; j < 176; ++j) {
    fw::fill(broken.k.rows(j, 1), std::numeric_limits<TestType>::quiet_NaN());
    fw::fill(broken.v.rows(j, 1), std::numeric_limits<TestType>::quiet_NaN());
  }
  const auto a = by_kernel(window, l, oracle::sinks_and_window{}), b = by_kernel(broken, l, oracle::sinks_and_window{});
  CHECK(std::isfinite(checks::largest_of(a.biases)));
  CHECK(checks::same_bits(a.numbers, b.numbers));
  CHECK(checks::same_bits(a.biases, b.biases));
  CHECK(checks::same_bits(a.factors, b.factors));
}

TEST_CASE("tables that do not reach, and gradients of other shapes, are refused") {
  const attention_case<float> one({2, 1, 5, 6}, {1000});
  const learned<float> l(2);
  CHECK_THROWS_WITH(by_kernel(one, l, fw::causal{}), ContainsSubstring("from distance -900 on; needs (2 × "));
  const attention_case<float> small({2, 1, 5, 6}, {30});
  const auto chosen = l.policies(fw::causal{});
  fw::matrix<float> out(30, 12), lse(30, 2), dq(30, 10), dk(30, 5), dv(30, 6), wrong(2, 7);
  fw::attend_forward<float>(out, lse, small.q, small.k, small.v, small.batch, small.batch, small.shape, chosen);
  constexpr auto fresh = fw::start::fresh;
  const auto backward = [&](fw::score_gradients<float> to) {
    fw::attend_backward<float>(dq, dk, dv, small.dout, out, lse, small.q, small.k, small.v, small.batch, small.batch, small.shape,
                               chosen, fresh, fresh, fresh, to);
  };
  CHECK_THROWS_WITH(backward({.biases = wrong}), ContainsSubstring("the gradient of a table by distance is (2 × 7)"));
  CHECK_THROWS_WITH(backward({.numbers = wrong}), ContainsSubstring("the gradient of the formula's numbers is (2 × 7)"));
}
