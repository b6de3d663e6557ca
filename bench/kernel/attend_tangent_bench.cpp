// SPDX-License-Identifier: MIT
#include <formwork/heads.hpp>
#include <formwork/kernel/attend_tangent.hpp>
#include <formwork/mask.hpp>
#include <formwork/scale.hpp>
#include <formwork/score.hpp>
#include <formwork/weights.hpp>

#include "kernel/attention_inputs.hpp"
#include "support/bench.hpp"

// Counted as in attend_bench.cpp, three times: a product of numbers with slopes is three products. Beside them the plain kernels,
// whose times they are a multiple of.

namespace fw = formwork;
using fw::Index;

namespace {

/// Inputs, and as many tangents.
struct inputs {
  bench::attention_inputs value, tangent;

  inputs(Index n, fw::head_shape shape) : value(n, shape), tangent(n, shape) {}
};

template <class Policies>
auto forward(Index n, fw::head_shape shape, Policies chosen) {
  return [in = std::make_shared<bench::attention_inputs>(n, shape), chosen] {
    fw::attend_forward<float>(in->out, in->kept, in->q, in->k, in->v, in->batch, in->batch, in->shape, chosen);
  };
}
template <class Policies>
auto backward(Index n, fw::head_shape shape, Policies chosen) {
  auto in = std::make_shared<bench::attention_inputs>(n, shape);
  fw::attend_forward<float>(in->out, in->kept, in->q, in->k, in->v, in->batch, in->batch, in->shape, chosen);
  return [in, chosen] {
    fw::attend_backward<float>(in->dq, in->dk, in->dv, in->dout, in->out, in->kept, in->q, in->k, in->v, in->batch, in->batch,
                               in->shape, chosen);
  };
}
template <class Policies>
auto tangent(Index n, fw::head_shape shape, Policies chosen) {
  return [in = std::make_shared<inputs>(n, shape), chosen] {
    auto &x = in->value, &t = in->tangent;
    fw::attend_tangent<float>({x.out, t.out}, {x.kept, t.kept}, {x.q, t.q}, {x.k, t.k}, {x.v, t.v}, x.batch, x.batch, x.shape,
                              chosen);
  };
}
template <class Policies>
auto gradient_tangent(Index n, fw::head_shape shape, Policies chosen) {
  auto in = std::make_shared<inputs>(n, shape);
  auto &x = in->value, &t = in->tangent;
  fw::attend_tangent<float>({x.out, t.out}, {x.kept, t.kept}, {x.q, t.q}, {x.k, t.k}, {x.v, t.v}, x.batch, x.batch, x.shape,
                            chosen);
  return [in, chosen] {
    auto &y = in->value, &u = in->tangent;
    fw::attend_gradient_tangent<float>({y.dq, u.dq}, {y.dk, u.dk}, {y.dv, u.dv}, {y.dout, u.dout}, {y.out, u.out},
                                       {y.kept, u.kept}, {y.q, u.q}, {y.k, u.k}, {y.v, u.v}, y.batch, y.batch, y.shape, chosen);
  };
}

void rows_of(const std::string& name, auto score) {
  const fw::attend_policies chosen{fw::causal{}, fw::inv_sqrt{}, score, fw::softmax{}, fw::independent{}};
  for (const Index n : {1024, 4096}) {
    constexpr Index d = 64;
    const fw::head_shape shape{1, 1, d, d};
    const double flops = 2.0 * static_cast<double>(n * n * d);
    const std::string tail = name + "/causal/n:" + std::to_string(n) + "/d:64";
    bench::row("attend/forward" + tail, {.flops = flops}, [=] { return forward(n, shape, chosen); });
    bench::row("attend_tangent" + tail, {.flops = 3 * flops}, [=] { return tangent(n, shape, chosen); });
    bench::row("attend/backward" + tail, {.flops = 2.5 * flops}, [=] { return backward(n, shape, chosen); });
    bench::row("attend_gradient_tangent" + tail, {.flops = 7.5 * flops}, [=] { return gradient_tangent(n, shape, chosen); });
  }
}

}  // namespace

void bench::rows() {
  rows_of("", fw::plain{});
  rows_of("/softcap", fw::softcap{});
}
