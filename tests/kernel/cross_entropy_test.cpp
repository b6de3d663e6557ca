// SPDX-License-Identifier: MIT
#include <formwork/kernel/cross_entropy.hpp>

#include "kernel/sweep.hpp"

using namespace checks;

namespace {

using fw::head_layout;
using fw::reduction;
const head_layout layouts[] = {head_layout::vocab_by_width, head_layout::width_by_vocab};

template <class S>
struct inputs {
  fw::matrix<S> hidden, table;  // table (vocab × width)
  std::vector<Index> targets;
};

template <class S>
inputs<S> make(Index tokens, Index width, Index vocab, std::uint64_t seed, bool ignore = true) {
  numbers r(seed);
  inputs<S> in{r.matrix<S>(tokens, width), r.matrix<S>(vocab, width, 2 / std::sqrt(double(width))), {}};
  for (Index i = 0; i < tokens; ++i) in.targets.push_back(ignore && r.below(4) == 0 ? -1 - r.below(100) : r.below(vocab));
  return in;
}
template <class T, class S>
inputs<T> as(const inputs<S>& in) {
  return {checks::as<T>(in.hidden), checks::as<T>(in.table), in.targets};
}

template <class S>
struct results {
  fw::matrix<S> loss, lse, dhidden, dhead;  // dhead (vocab × width)
};

/// The definition, every logit at once, summed in order.
template <class S>
results<S> naive(const inputs<S>& in, reduction how) {
  const Index tokens = in.hidden.rows(), width = in.hidden.cols(), vocab = in.table.rows();
  results<S> r{fw::matrix<S>(1, 1, S(0)), fw::matrix<S>(1, tokens, S(0)), fw::matrix<S>(tokens, width, S(0)),
               fw::matrix<S>(vocab, width, S(0))};
  Index counted = 0;
  for (const Index t : in.targets) counted += t >= 0;
  const S c = how == reduction::mean && counted > 0 ? 1 / S(counted) : S(1);
  fw::matrix<S> p(1, vocab);
  for (Index i = 0; i < tokens; ++i) {
    const Index target = in.targets[std::size_t(i)];
    if (target < 0) continue;
    S most = -std::numeric_limits<S>::infinity(), sum = 0;
    for (Index v = 0; v < vocab; ++v) {
      p(0, v) = 0;
      for (Index j = 0; j < width; ++j) p(0, v) += in.hidden(i, j) * in.table(v, j);
      most = std::max(most, p(0, v));
    }
    const S chosen = p(0, target);
    for (Index v = 0; v < vocab; ++v) sum += p(0, v) = std::exp(p(0, v) - most);
    r.lse(0, i) = most + std::log(sum);
    r.loss(0, 0) += (r.lse(0, i) - chosen) * c;
    for (Index v = 0; v < vocab; ++v) {
      const S d = (p(0, v) / sum - S(v == target)) * c;
      for (Index j = 0; j < width; ++j) {
        r.dhidden(i, j) += d * in.table(v, j);
        r.dhead(v, j) += d * in.hidden(i, j);
      }
    }
  }
  return r;
}

template <class S>
results<S> ours(const inputs<S>& in, reduction how, head_layout layout = head_layout::vocab_by_width, places at = {}) {
  const bool tied = layout == head_layout::vocab_by_width;
  auto weight = at(tied ? in.table : transposed(in.table)), hidden = at(in.hidden),
       lse = at(fw::matrix<S>(1, in.hidden.rows(), S(0)));
  auto dhidden = at.template output<S>(in.hidden.rows(), in.hidden.cols());
  auto dhead = at.template output<S>(weight.view().rows(), weight.view().cols());
  const double loss = fw::cross_entropy_forward_backward<S>(dhidden, dhead, lse.data(), hidden, {weight.view(), layout},
                                                            in.targets, how);
  return {fw::matrix<S>(1, 1, S(loss)), lse.copy(), dhidden.copy(), tied ? dhead.copy() : transposed(dhead.copy())};
}

template <class S>
bool same(const results<S>& a, const results<S>& b) {
  return same_bits(a.loss, b.loss) && same_bits(a.lse, b.lse) && same_bits(a.dhidden, b.dhidden) && same_bits(a.dhead, b.dhead);
}

void random_case(trial& t) {
  const Index width = t.size(200), tokens = t.size(300, 0),
              vocab = t.size(std::max<Index>(2, 1'000'000 / (width * (tokens + 1))));
  const auto how = t.any({reduction::mean, reduction::sum});
  const auto layout = t.any({head_layout::vocab_by_width, head_layout::width_by_vocab});
  const auto in = make<float>(tokens, width, vocab, t.seed(), t.once_in(2));
  const auto wide = as<double>(in);
  const auto a = ours(in, how, layout, t.anywhere()), b = naive(in, how);
  const auto c = naive(wide, how), d = ours(wide, how, layout, t.anywhere());
  t.accurate("loss", a.loss, b.loss, c.loss, 2, 1), t.accurate("loss", d.loss, c.loss);
  t.accurate("lse", a.lse, b.lse, c.lse, 2, 1), t.accurate("lse", d.lse, c.lse);
  t.accurate("dhidden", a.dhidden, b.dhidden, c.dhidden, 3), t.accurate("dhidden", d.dhidden, c.dhidden);
  t.accurate("dhead", a.dhead, b.dhead, c.dhead, 3), t.accurate("dhead", d.dhead, c.dhead);
}

}  // namespace

TEST_CASE("cross_entropy of equal logits is log vocab, and of three known logits what a table gives") {
  const fw::matrix<double> zero(3, 4, 0.0), table(50, 4, 1.0);
  const std::vector<Index> targets{0, 7, 49};
  CHECK(std::abs(fw::cross_entropy_forward<double>(nullptr, zero, {table, head_layout::vocab_by_width}, targets) - 3.9120230054281460) <= 1e-15);
  fw::matrix<double> one(1, 1, 1.0), logits(1, 3), lse(1, 1), dhead(1, 3);
  logits(0, 0) = 1, logits(0, 1) = 2, logits(0, 2) = 3;  // softmax 0.09003057, 0.24472847, 0.66524096; lse 3.40760596
  const std::vector<Index> target{0};
  const double loss = fw::cross_entropy_forward_backward<double>({}, dhead, lse.data(), one, {logits, head_layout::width_by_vocab}, target);
  CHECK(std::abs(loss - 2.40760596444438) <= 1e-14);
  CHECK(std::abs(lse(0, 0) - 3.40760596444438) <= 1e-14);
  CHECK(std::abs(dhead(0, 0) - (.09003057317038 - 1)) <= 1e-14);
  CHECK(std::abs(dhead(0, 1) - .24472847105479) <= 1e-14);
  CHECK(std::abs(dhead(0, 2) - .66524095577482) <= 1e-14);
}

TEMPLATE_TEST_CASE("cross_entropy is as accurate as a naive loop at sizes around lanes, tiles and chunks", "", float, double) {
  using S = TestType;
  for (const auto& [tokens, width, vocab] : std::vector<std::array<Index, 3>>{
           {1, 1, 1}, {1, 5, 2}, {2, 16, 15}, {7, 17, 16}, {9, 33, 17}, {40, 8, 49}, {65, 31, 50}, {128, 3, 2100}, {129, 2, 2100}, {300, 3, 2048}, {1025, 2, 256}, {20, 64, 1000}})
    for (const auto how : {reduction::mean, reduction::sum}) {
      const auto in = make<S>(tokens, width, vocab, std::uint64_t(tokens + vocab));
      const auto b = naive(in, how);
      const auto c = naive(as<double>(in), how);
      for (const auto layout : layouts) {
        CAPTURE(tokens, width, vocab, int(how), int(layout));
        const auto a = ours(in, how, layout);
        check_accuracy("loss", a.loss, b.loss, c.loss, 2);
        check_accuracy("lse", a.lse, b.lse, c.lse, 2);
        check_accuracy("dhidden", a.dhidden, b.dhidden, c.dhidden, 3);
        check_accuracy("dhead", a.dhead, b.dhead, c.dhead, 3);
      }
    }
}

TEST_CASE("cross_entropy is as accurate as the rule asks over random shapes") { sweep(few_cases, random_case); }
TEST_CASE("cross_entropy is as accurate as the rule asks over 2000 random shapes", "[.slow]") {
  sweep(many_cases, random_case);
}

TEST_CASE("cross_entropy's gradients are central differences, scaled by the upstream gradient") {
  for (const auto how : {reduction::mean, reduction::sum}) {
    auto in = make<double>(11, 5, 19, 3);
    const auto loss = [&] {
      return 3 * fw::cross_entropy_forward<double>(nullptr, in.hidden, {in.table, head_layout::vocab_by_width}, in.targets, how);
    };
    fw::matrix<double> dhidden(11, 5), dhead(19, 5);
    fw::cross_entropy_forward_backward<double>(dhidden, dhead, nullptr, in.hidden, {in.table, head_layout::vocab_by_width}, in.targets, how, 3);
    check_gradient("hidden", in.hidden, dhidden, loss);
    check_gradient("head", in.table, dhead, loss);
  }
}

TEMPLATE_TEST_CASE("cross_entropy: a row has the same bits alone and in a batch, in either layout of the head", "", float, double) {
  using S = TestType;
  const auto in = make<S>(150, 37, 2050, 4);
  const auto all = ours(in, reduction::sum);
  CHECK(same(all, ours(in, reduction::sum, head_layout::width_by_vocab)));
  double sum = 0;
  for (const Index i : {0, 1, 74, 75, 76, 127, 128, 149}) {
    const inputs<S> one{fw::matrix<S>(in.hidden.rows(i, 1)), in.table, {in.targets[std::size_t(i)]}};
    const auto r = ours(one, reduction::sum);
    CHECK(r.lse(0, 0) == all.lse(0, i));
    CHECK(same_bits(r.dhidden, fw::matrix<S>(all.dhidden.rows(i, 1))));
    sum += double(r.loss(0, 0));
  }
  CHECK(sum > 0);
}

TEMPLATE_TEST_CASE("cross_entropy: the head's gradient of two halves, the second continued, has the bits of the whole", "", float, double) {
  using S = TestType;
  const auto in = make<S>(290, 21, 2050, 5);
  const auto whole = ours(in, reduction::sum);
  fw::matrix<S> dhidden(290, 21, S(0)), dhead(2050, 21);
  const fw::cross_entropy_head<S> head{in.table, head_layout::vocab_by_width};
  const std::span<const Index> targets(in.targets);
  fw::cross_entropy_forward_backward<S>(dhidden.rows(0, 111), dhead, nullptr, in.hidden.rows(0, 111), head, targets.first(111), reduction::sum);
  fw::cross_entropy_forward_backward<S>(dhidden.rows(111, 179), dhead, nullptr, in.hidden.rows(111, 179), head, targets.subspan(111),
                                        reduction::sum, 1, fw::start::continued, fw::start::continued);
  CHECK(same_bits(dhead, whole.dhead));
  CHECK(largest_error(dhidden, whole.dhidden) == 0);
}

TEMPLATE_TEST_CASE("cross_entropy: bits do not depend on threads or alignment, nor on which gradients are wanted", "", float, double) {
  using S = TestType;
  const auto in = make<S>(140, 19, 2055, 6);
  const auto all = ours(in, reduction::mean);
  for (int n : {1, 2, 3, 8}) {
    fw::threads(n);
    for (const auto layout : layouts) CHECK(same(all, ours(in, reduction::mean, layout)));
  }
  fw::threads(2);
  const fw::cross_entropy_head<S> head{in.table, head_layout::vocab_by_width};
  fw::matrix<S> dhidden(140, 19), dhead(2055, 19), lse(1, 140, S(0));
  const double a = fw::cross_entropy_forward_backward<S>(dhidden, {}, nullptr, in.hidden, head, in.targets);
  const double b = fw::cross_entropy_forward_backward<S>({}, dhead, nullptr, in.hidden, head, in.targets);
  const double c = fw::cross_entropy_forward<S>(lse.data(), in.hidden, head, in.targets);
  CHECK((a == b && b == c && S(c) == all.loss(0, 0)));
  CHECK((same_bits(dhidden, all.dhidden) && same_bits(dhead, all.dhead) && same_bits(lse, all.lse)));
  for (Index offset = 0; offset < 16; ++offset) {
    shifted<S> hidden(in.hidden, offset, 2), table(in.table, 15 - offset, offset % 3), to_hidden(dhidden, 7), to_head(dhead, offset);
    fw::cross_entropy_forward_backward<S>(to_hidden.view(), to_head.view(), lse.data(), hidden.view(), {table.view(), head.layout}, in.targets);
    CHECK((same_bits(to_hidden.copy(), all.dhidden) && same_bits(to_head.copy(), all.dhead) && same_bits(lse, all.lse)));
  }
}

TEST_CASE("cross_entropy: slopes of a row's logits sum to zero, and large logits neither over- nor underflow the loss") {
  auto in = make<float>(30, 9, 40, 7);
  const auto r = ours(in, reduction::sum);
  for (Index j = 0; j < 9; ++j) {
    float sum = 0;
    for (Index v = 0; v < 40; ++v) sum += r.dhead(v, j);
    CHECK(std::abs(sum) <= 2e-5f);
  }
  for (Index i = 0; i < in.hidden.size(); ++i) in.hidden.data()[i] *= 1e6f;
  const auto large = ours(in, reduction::mean);
  CHECK(std::isfinite(large.loss(0, 0)));
  CHECK(large.loss(0, 0) > 1e5f);
  for (Index i = 0; i < large.dhead.size(); ++i) CHECK(std::isfinite(large.dhead.data()[i]));
}

TEST_CASE("cross_entropy: an ignored row changes nothing, be it NaN, and gets a zero gradient") {
  auto in = make<float>(40, 6, 30, 8, false);
  in.targets[3] = in.targets[39] = -1;
  const auto clean = ours(in, reduction::mean);
  for (Index j = 0; j < 6; ++j) in.hidden(3, j) = in.hidden(39, j) = std::numeric_limits<float>::quiet_NaN();
  const auto strange = ours(in, reduction::mean);
  CHECK(same(clean, strange));
  for (Index j = 0; j < 6; ++j) CHECK((strange.dhidden(3, j) == 0 && strange.dhidden(39, j) == 0));
}

TEST_CASE("cross_entropy: nothing to count gives 0 and zero gradients; what is wrong is named before anything is written") {
  fw::matrix<float> hidden(2, 3, 1.0f), table(5, 3, 1.0f), dhidden(2, 3, 9.0f), dhead(5, 3, 9.0f), none(0, 3);
  const fw::cross_entropy_head<float> head{table, head_layout::vocab_by_width};
  const auto run = [&](const fw::matrix<float>& x, std::vector<Index> targets) {
    return fw::cross_entropy_forward_backward<float>(dhidden, dhead, nullptr, x, head, targets);
  };
  CHECK_THROWS_WITH(run(hidden, {0, 5}), ContainsSubstring("target 5 of row 1 but the vocabulary is 5"));
  CHECK_THROWS_WITH(run(hidden, {0}), ContainsSubstring("there are 1 targets"));
  CHECK_THROWS_WITH(run(fw::matrix<float>(2, 4), {0, 1}), ContainsSubstring("hidden.width = head.width"));
  CHECK((dhidden(0, 0) == 9 && dhead(0, 0) == 9));
  CHECK(run(hidden, {-1, -5}) == 0);
  CHECK((dhidden(1, 2) == 0 && dhead(4, 2) == 0));
  CHECK(fw::cross_entropy_forward<float>(nullptr, none, head, {}) == 0);
}
