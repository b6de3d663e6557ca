// SPDX-License-Identifier: MIT
#include <formwork/heads.hpp>
#include <formwork/kernel/attend.hpp>
#include <formwork/mask.hpp>
#include <formwork/scale.hpp>
#include <formwork/score.hpp>
#include <formwork/weights.hpp>

#include "kernel/attention_inputs.hpp"
#include "support/bench.hpp"

// Counted: 2 n² d a head for q kᵀ, as much for the values, and 2 n² a pair of heads for each mix; causal counts the visible
// half; the backward 2.5 times the products and 3 times the mixes.

namespace fw = formwork;
using fw::Index;

namespace {

struct inputs : bench::attention_inputs {
  fw::matrix<float> score_mix, weight_mix, dscores, dweights;

  inputs(Index n, Index heads, Index d)
      : attention_inputs(n, {heads, heads, d, d}),
        score_mix(heads, heads),
        weight_mix(heads, heads),
        dscores(heads, heads),
        dweights(heads, heads) {
    for (auto* m : {&score_mix, &weight_mix}) fw::eigen(*m).setRandom();
  }
  template <class Mask>
  auto policies() const {
    return fw::attend_policies{Mask{}, fw::inv_sqrt{}, fw::plain{}, fw::softmax{},
                               fw::head_mixing<float>{score_mix, weight_mix}};
  }
  template <class Mask>
  void forward() {
    fw::attend_forward<float>(out, kept, q, k, v, batch, batch, shape, policies<Mask>());
  }
};

template <class Mask>
auto forward(Index n, Index heads, Index d) {
  return [in = std::make_shared<inputs>(n, heads, d)] { in->forward<Mask>(); };
}

/// Forward and backward, as a training step runs them.
template <class Mask>
auto both(Index n, Index heads, Index d) {
  auto in = std::make_shared<inputs>(n, heads, d);
  return [in] {
    in->forward<Mask>();
    fw::attend_backward<float>(in->dq, in->dk, in->dv, fw::head_mixing_gradient<float>{in->dscores, in->dweights}, in->dout,
                               in->out, in->kept, in->q, in->k, in->v, in->batch, in->batch, in->shape,
                               in->policies<Mask>());
  };
}

/// As one writes it with Eigen: all scores of all heads at once, twice.
template <class Mask>
auto eigen_forward(Index n, Index heads, Index d) {
  using dense = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const auto many = std::vector<dense>(static_cast<std::size_t>(heads), dense(n, n));
  return [in = std::make_shared<inputs>(n, heads, d), s = many, w = many, heads, d]() mutable {
    const auto at = [](Index i) { return static_cast<std::size_t>(i); };
    const auto columns = [&](fw::matrix<float>& m, Index h) { return fw::eigen(m.cols(h * d, d)); };
    for (Index a = 0; a < heads; ++a)
      s[at(a)].noalias() = columns(in->q, a) * columns(in->k, a).transpose() / std::sqrt(static_cast<float>(d));
    for (Index h = 0; h < heads; ++h) {
      dense& x = w[at(h)];
      x = in->score_mix(0, h) * s[0];
      for (Index a = 1; a < heads; ++a) x += in->score_mix(a, h) * s[at(a)];
      if (!Mask::sees_ahead)
        x.template triangularView<Eigen::StrictlyUpper>().setConstant(-std::numeric_limits<float>::infinity());
      x = (x.colwise() - x.rowwise().maxCoeff().eval()).array().exp();
      x.array().colwise() /= x.rowwise().sum().array().eval();
    }
    for (Index o = 0; o < heads; ++o) {
      dense& u = s[at(o)];
      u = in->weight_mix(0, o) * w[0];
      for (Index h = 1; h < heads; ++h) u += in->weight_mix(h, o) * w[at(h)];
      columns(in->out, o).noalias() = u * columns(in->v, o);
    }
  };
}

template <class Mask>
void mask_rows(const std::string& mask, double visible) {
  constexpr Index heads = 8, d = 64;
  for (const Index n : {1024, 2048, 4096, 8192}) {
    const double pairs = visible * static_cast<double>(n * n), products = 4.0 * heads * d * pairs,
                 mixes = 4.0 * heads * heads * pairs;
    const std::string tail = mask + "/h:8/n:" + std::to_string(n) + "/d:64";
    bench::row("talking_heads/forward/" + tail, {.flops = products + mixes},
               [=] { return forward<Mask>(n, heads, d); });
    bench::row("talking_heads/forward_backward/" + tail, {.flops = 3.5 * products + 4 * mixes},
               [=] { return both<Mask>(n, heads, d); });
    if (n <= 2048)
      bench::row("eigen/talking_heads/forward/" + tail, {.flops = products + mixes},
                 [=] { return eigen_forward<Mask>(n, heads, d); });
  }
}

}  // namespace

void bench::rows() {
  mask_rows<fw::causal>("causal", 0.5);
  mask_rows<fw::full>("full", 1.0);
}
