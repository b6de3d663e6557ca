// SPDX-License-Identifier: MIT
#include <formwork/attention/biased_scores.hpp>
#include <formwork/heads.hpp>
#include <formwork/kernel/attend.hpp>
#include <formwork/mask.hpp>
#include <formwork/observer.hpp>
#include <formwork/position/alibi.hpp>
#include <formwork/scale.hpp>
#include <formwork/score.hpp>
#include <formwork/weights.hpp>

#include "kernel/attention_inputs.hpp"
#include "support/bench.hpp"

// Counted: 2 n² d for q kᵀ and as much for the values; causal counts the visible half; the backward 2.5 times the forward.

namespace fw = formwork;
using fw::Index;

namespace {

using inputs = bench::attention_inputs;

template <class Mask, class Score = fw::plain, class Heads = fw::independent>
auto policies(Mask mask = {}, Score score = {}, Heads heads = {}) {
  return fw::attend_policies{mask, fw::inv_sqrt{}, score, fw::softmax{}, heads};
}

template <class Policies>
auto forward(Index n, fw::head_shape shape, Policies chosen) {
  return [in = std::make_shared<inputs>(n, shape), chosen] {
    fw::attend_forward<float>(in->out, in->kept, in->q, in->k, in->v, in->batch, in->batch, in->shape, chosen);
  };
}
template <class Policies>
auto backward(Index n, fw::head_shape shape, Policies chosen, fw::score_gradients<float> learned = {}) {
  auto in = std::make_shared<inputs>(n, shape);
  fw::attend_forward<float>(in->out, in->kept, in->q, in->k, in->v, in->batch, in->batch, in->shape, chosen);
  return [in, chosen, learned] {
    constexpr auto fresh = fw::start::fresh;
    fw::attend_backward<float>(in->dq, in->dk, in->dv, in->dout, in->out, in->kept, in->q, in->k, in->v, in->batch,
                               in->batch, in->shape, chosen, fresh, fresh, fresh, learned);
  };
}

/// a tanh(b score), a and b learned: a product where a division would cost half a tanh.
struct bent {
  static constexpr std::array start = {30.0, 30.0};
  template <class T>
  T operator()(T score, fw::score_site<T> at) const {
    return at.learned[0] * tanh(at.learned[1] * score);
  }
};
/// What observers say of weights that a forward has made, beside that forward.
template <class... Observer>
auto observe(Index n, fw::head_shape shape, Observer... observer) {
  const auto chosen = policies<fw::causal>();
  auto in = std::make_shared<inputs>(n, shape);
  fw::attend_forward<float>(in->out, in->kept, in->q, in->k, in->v, in->batch, in->batch, in->shape, chosen);
  auto seen = std::make_shared<std::vector<fw::matrix<float>>>(sizeof...(Observer), fw::matrix<float>(n, shape.heads));
  return [in, seen, chosen, by = std::tuple(observer...)] {
    std::array<fw::view<float>, sizeof...(Observer)> to;
    std::copy(seen->begin(), seen->end(), to.begin());
    fw::attend_observe<float>(to, in->kept, in->q, in->k, in->batch, in->batch, in->shape, chosen, by);
  };
}

/// What 8 heads learn of 2048 positions, and its gradients. The table is that of t5, kerple and the like.
struct learned_numbers {
  fw::matrix<float> numbers{8, 2, 0.5f}, table{8, 2047 + 64, 0.5f}, dnumbers = numbers, dtable = table;

  fw::by_distance<float> by_distance() const { return {table, -2047}; }
};

/// What 8 heads of 2048 queries have by distance, up to 16 on either side, and its gradients.
struct relative_numbers {
  static constexpr Index longest = 16;
  fw::matrix<float> scores{2048, 8 * fw::relative_rows<float>::width(longest), 0.1f}, sums = scores, dweights = scores,
                                                                                dscores = scores;

  fw::relative_rows<float> rows() { return {longest, scores, sums, dweights, dscores}; }
};

/// Attention as one writes it with Eigen: all scores at once.
template <class Mask>
auto eigen_forward(Index n, Index d) {
  return [in = std::make_shared<inputs>(n, fw::head_shape{1, 1, d, d}), scores = fw::matrix<float>(n, n)]() mutable {
    auto s = fw::eigen(scores);
    s.noalias() = fw::eigen(in->q) * fw::eigen(in->k).transpose() / std::sqrt(static_cast<float>(in->q.cols()));
    if (!Mask::sees_ahead)
      s.triangularView<Eigen::StrictlyUpper>().setConstant(-std::numeric_limits<float>::infinity());
    s = (s.colwise() - s.rowwise().maxCoeff().eval()).array().exp();
    s.array().colwise() /= s.rowwise().sum().array().eval();
    fw::eigen(in->out).noalias() = s * fw::eigen(in->v);
  };
}

/// The formula in loops.
template <class Mask>
auto naive_forward(Index n, Index d) {
  return [in = std::make_shared<inputs>(n, fw::head_shape{1, 1, d, d}),
          p = std::vector<float>(static_cast<std::size_t>(n)), n, d]() mutable {
    for (Index i = 0; i < n; ++i) {
      const Index seen = Mask{}.count({i, n, 0});
      float largest = -std::numeric_limits<float>::infinity(), sum = 0;
      for (Index j = 0; j < seen; ++j) {
        float dot = 0;
        for (Index x = 0; x < d; ++x) dot += in->q(i, x) * in->k(j, x);
        p[static_cast<std::size_t>(j)] = dot / std::sqrt(static_cast<float>(d));
        largest = std::max(largest, p[static_cast<std::size_t>(j)]);
      }
      std::fill_n(in->out.row(i), d, 0.0f);
      for (Index j = 0; j < seen; ++j) {
        const float w = std::exp(p[static_cast<std::size_t>(j)] - largest);
        sum += w;
        for (Index x = 0; x < d; ++x) in->out(i, x) += w * in->v(j, x);
      }
      for (Index x = 0; x < d; ++x) in->out(i, x) /= sum;
    }
  };
}

/// One token of a batch of one against a cache of n.
auto decode(Index n, fw::head_shape shape) {
  auto in = std::make_shared<inputs>(n, shape);
  auto cache = std::make_shared<fw::key_value_cache<float>>(in->k, in->v, in->batch, shape);
  fw::sequences one{1};
  const Index at[] = {n - 1};
  one.starts(at);
  return [in, cache, one] {
    fw::attend_forward<float>(in->out.rows(0, 1), {}, in->q.rows(0, 1), *cache, one, in->shape, policies<fw::causal>());
  };
}

template <class Mask>
void mask_rows(const std::string& mask, double visible) {
  for (const Index n : {1024, 4096}) {
    constexpr Index d = 64;
    const fw::head_shape one{1, 1, d, d}, two{2, 2, d, d};
    const double flops = 4.0 * visible * static_cast<double>(n * n * d);
    const std::string tail = mask + "/n:" + std::to_string(n) + "/d:64";
    bench::row("attend/forward/" + tail, {.flops = flops}, [=] { return forward(n, one, policies<Mask>()); });
    bench::row("attend/backward/" + tail, {.flops = 2.5 * flops}, [=] { return backward(n, one, policies<Mask>()); });
    bench::row("two_threads/attend/forward/" + tail, {.flops = 2 * flops},
               [=] { return forward(n, two, policies<Mask>()); });
    bench::row("two_threads/attend/backward/" + tail, {.flops = 5 * flops},
               [=] { return backward(n, two, policies<Mask>()); });
    bench::row("eigen/attend/forward/" + tail, {.flops = flops}, [=] { return eigen_forward<Mask>(n, d); });
    if (n == 1024)
      bench::row("naive/attend/forward/" + tail, {.flops = flops}, [=] { return naive_forward<Mask>(n, d); });
  }
}

}  // namespace

void bench::rows() {
  mask_rows<fw::full>("full", 1.0);
  mask_rows<fw::causal>("causal", 0.5);

  constexpr Index n = 1024;
  const auto flops = [](Index heads, Index d) { return 2.0 * static_cast<double>(heads * n * n * d); };
  for (const auto& [key_width, head_width] : {std::pair<Index, Index>{32, 32}, {128, 128}, {128, 64}})
    bench::row("attend/forward/causal/n:4096/" +
                   (key_width == head_width ? "d:" + std::to_string(key_width)
                                            : "d:" + std::to_string(key_width) + "and" + std::to_string(head_width)),
               {.flops = 16 * (flops(1, key_width) + flops(1, head_width)) / 2},
               [shape = fw::head_shape{1, 1, key_width, head_width}] { return forward(4096, shape, policies<fw::causal>()); });
  for (const Index d : {32, 80, 128}) {
    const std::string tail = "causal/n:1024/d:" + std::to_string(d);
    bench::row("attend/forward/" + tail, {.flops = flops(1, d)}, [=] {
      return forward(n, {1, 1, d, d}, policies<fw::causal>());
    });
    bench::row("attend/backward/" + tail, {.flops = 2.5 * flops(1, d)}, [=] {
      return backward(n, {1, 1, d, d}, policies<fw::causal>());
    });
  }
  // What sharing keys costs over keys of one's own: the operations are the same.
  for (const Index key_heads : {8, 2, 1}) {
    constexpr Index longer = 2048;
    const fw::head_shape shape{8, key_heads, 64, 64};
    const std::string tail =
        "causal/" + (key_heads == 8 ? "independent:8" : "grouped:8on" + std::to_string(key_heads)) + "/n:2048/d:64";
    const auto chosen = policies(fw::causal{}, fw::plain{}, fw::grouped{});
    const auto plain = policies<fw::causal>();
    bench::row("attend/forward/" + tail, {.flops = 4 * flops(8, 64)}, [=] {
      return key_heads == 8 ? std::function<void()>(forward(longer, shape, plain)) : forward(longer, shape, chosen);
    });
    bench::row("attend/backward/" + tail, {.flops = 10 * flops(8, 64)}, [=] {
      return key_heads == 8 ? std::function<void()>(backward(longer, shape, plain)) : backward(longer, shape, chosen);
    });
  }
  const fw::attend_policies scaled{fw::causal{}, fw::log_n{}, fw::plain{}, fw::softmax{}, fw::independent{}};
  bench::row("attend/forward/causal/log_n:8/n:2048/d:64", {.flops = 4 * flops(8, 64)}, [=] {
    return forward(2048, {8, 8, 64, 64}, scaled);
  });
  // A window costs what it shows: the same queries with all earlier keys are beside it.
  constexpr Index longer = 16384, width = 256;
  const fw::head_shape one{1, 1, 64, 64};
  const double window_flops = 4.0 * 64 * width * (longer - width / 2.0), causal_flops = 2.0 * 64 * longer * longer;
  const std::string long_tail = "/n:16384/d:64";
  bench::row("attend/forward/sliding_window:256" + long_tail, {.flops = window_flops},
             [=] { return forward(longer, one, policies(fw::sliding_window{width})); });
  bench::row("attend/backward/sliding_window:256" + long_tail, {.flops = 2.5 * window_flops},
             [=] { return backward(longer, one, policies(fw::sliding_window{width})); });
  bench::row("attend/forward/causal" + long_tail, {.flops = causal_flops},
             [=] { return forward(longer, one, policies<fw::causal>()); });
  bench::row("attend/backward/causal" + long_tail, {.flops = 2.5 * causal_flops},
             [=] { return backward(longer, one, policies<fw::causal>()); });

  const fw::head_shape eight{8, 8, 64, 64};
  fw::tape<float> quiet{fw::recording::off};
  static const fw::matrix<float> slopes(fw::alibi{}.distance_biases(quiet, 8, fw::distances_met<fw::causal>(2048, 2048)).value());
  const auto sloped = policies(fw::causal{}, fw::with_bias(fw::plain{}, fw::by_distance<float>{slopes, -2047}));
  const auto capped = policies<fw::causal, fw::softcap>();
  // Each beside the rows of independent:8.
  const auto three_rows_of = [=](fw::head_shape shape, const std::string& name, const auto& chosen,
                                 fw::score_gradients<float> learned = {}) {
    const std::string tail = "/causal/" + name + "/n:2048/d:64";
    bench::row("attend/forward" + tail, {.flops = 4 * flops(8, 64)}, [=] { return forward(2048, shape, chosen); });
    bench::row("attend/backward" + tail, {.flops = 10 * flops(8, 64)}, [=] { return backward(2048, shape, chosen, learned); });
    bench::row("attend/forward_backward" + tail, {.flops = 14 * flops(8, 64)}, [=] {
      return [there = forward(2048, shape, chosen), back = backward(2048, shape, chosen, learned)]() mutable { there(), back(); };
    });
  };
  const auto three_rows = [=](const std::string& name, const auto& chosen, fw::score_gradients<float> of = {}) {
    three_rows_of(eight, name, chosen, of);
  };
  three_rows("alibi:8", sloped);
  three_rows("softcap:8", capped);
  static learned_numbers learned;
  three_rows("t5:8", policies(fw::causal{}, fw::with_bias(fw::plain{}, learned.by_distance())), {.biases = learned.dtable});
  three_rows("learned_tanh:8", policies(fw::causal{}, fw::formula_of_numbers<float, bent>{{}, learned.numbers}),
             {.numbers = learned.dnumbers});
  three_rows("urpe:8",
             fw::attend_policies{fw::causal{}, fw::inv_sqrt{}, fw::plain{},
                                 fw::distance_weighed<float, fw::softmax>{{}, learned.by_distance()}, fw::independent{}},
             {.factors = learned.dtable});
  const auto weighed = [](auto weights) {
    return fw::attend_policies{fw::causal{}, fw::inv_sqrt{}, fw::plain{}, weights, fw::independent{}};
  };
  three_rows("l2_normalized:8", weighed(fw::l2_normalized{}));
  three_rows("relu_squared:8", weighed(fw::relu_squared{}));
  three_rows("sigmoid_weights:8", weighed(fw::sigmoid_weights{}));

  three_rows("per_head:8", policies(fw::per_head{fw::causal{}, fw::causal{}}));
  // Both ways of turning lie side by side, the window's edge is passed by one block in four; the copies are not in these rows.
  three_rows_of({8, 8, 128, 64}, "re_rope:8",
                fw::attend_policies{fw::causal{}, fw::inv_sqrt{}, fw::plain{}, fw::softmax{}, fw::independent{},
                                    fw::columns_by_distance<2>{512, 64}});
  // Beside these, 0.27 GFLOP forward and 0.55 backward go into the products around the kernel.
  static relative_numbers relative;
  three_rows("shaw:8", fw::attend_policies{fw::causal{}, fw::inv_sqrt{}, fw::plain{}, fw::softmax{}, fw::independent{},
                                           relative.rows()});

  // Counted: q kᵀ alone. Beside attend/forward/causal/independent:8.
  const auto observe_row = [=](const std::string& names, auto... observer) {
    bench::row("attend/observe/causal/" + names + ":8/n:2048/d:64", {.flops = 2 * flops(8, 64)},
               [=] { return observe(2048, eight, observer...); });
  };
  observe_row("first_key_weight", fw::first_key_weight{});
  observe_row("row_entropy", fw::row_entropy{});
  observe_row("all", fw::row_entropy{}, fw::largest_logit{}, fw::expected_distance{}, fw::first_key_weight{});

  for (const Index cached : {512, 4096, 65536}) {
    const fw::head_shape shape{12, 12, 64, 64};
    bench::row("attend/decode/heads:12/cache:" + std::to_string(cached) + "/d:64",
               {.bytes = 12.0 * 64 * 2 * 4 * static_cast<double>(cached)}, [=] { return decode(cached, shape); });
  }
}
