// SPDX-License-Identifier: MIT
#include <formwork/feature.hpp>
#include <formwork/kernel/linear_attend.hpp>
#include <formwork/layer/builder.hpp>
#include <formwork/position.hpp>

#include "kernel/attention_inputs.hpp"
#include "support/bench.hpp"

#include <vector>

// Causal linear attention of 8 heads, elu + 1 features. Counted per token and head, a multiply-add as two, with m and d the
// widths of keys and values and C = linear_chunk, what the chunks do and nothing that is masked:
//
//   forward     φq S and S += φkᵀ v: 4 m d;  the triangle of a chunk, scores and values: (C + 1) (m + d)
//   backward    S again, dN Sᵀ, T v, Tᵀ φk, T += φqᵀ dN: 10 m d;  five triangles: (C + 1) (3 m + 2 d)
//
// Features, sums of keys, denominators and rotations are not counted. The rows of
// maps count their features as m.

namespace fw = formwork;
using fw::Index;

namespace {

constexpr fw::linear_attend_policies<fw::key_sums::causal, fw::elu_plus_one> policies{};
constexpr double chunk = fw::linear_chunk;

double forward_flops(Index n, fw::head_shape h) {
  const auto m = static_cast<double>(h.key_width), d = static_cast<double>(h.head_width);
  return static_cast<double>(n * h.heads) * (4 * m * d + (chunk + 1) * (m + d));
}
double backward_flops(Index n, fw::head_shape h) {
  const auto m = static_cast<double>(h.key_width), d = static_cast<double>(h.head_width);
  return static_cast<double>(n * h.heads) * (10 * m * d + (chunk + 1) * (3 * m + 2 * d));
}

struct inputs : bench::attention_inputs {
  using attention_inputs::attention_inputs;
  template <class Policies>
  void forward(const Policies& chosen) {
    fw::linear_attend_forward<float>(out, kept, q, k, v, batch, shape, chosen);
  }
  template <class Policies>
  void backward(const Policies& chosen) {
    fw::linear_attend_backward<float>(dq, dk, dv, dout, out, kept, q, k, v, batch, shape, chosen);
  }
};

/// Rotary features.
struct turn {
  std::shared_ptr<const fw::rotary_table<float>> table;
  void operator()(fw::view<float> x, Index position, fw::direction way) const {
    fw::sequences rows{x.rows()};
    rows.starts(std::span(&position, 1));
    fw::rope<>{}.rotate(x, 1, *table, rows, way);
  }
};

/// One token after another from `position` on.
auto decode(Index position, fw::head_shape shape) {
  auto in = std::make_shared<inputs>(position, shape);
  auto state = std::make_shared<fw::linear_attend_state<float>>(1, shape);
  fw::linear_attend_forward<float>(in->out, in->q, in->k, in->v, *state, in->batch, policies);
  return [in, state, row = Index(0)]() mutable {
    fw::sequences one{1};
    const Index at[] = {state->length(0)};
    one.starts(at);
    row = (row + 1) % 64;
    const auto next = [&](auto& m) { return m.rows(row, 1); };
    fw::linear_attend_forward<float>(next(in->out), next(in->q), next(in->k), next(in->v), *state, one, policies);
  };
}

/// The same chunks as one writes them with Eigen, a head of n tokens each.
auto eigen_forward(Index n, Index heads, Index d) {
  using dense = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  return [in = std::make_shared<inputs>(n, fw::head_shape{heads, heads, d, d}), n, heads, d] {
    const auto feature = [](const auto& x) { return (x.array() >= 0).select(x.array() + 1, x.array().exp()).matrix(); };
    for (Index h = 0; h < heads; ++h) {
      dense s = dense::Zero(d, d);
      Eigen::RowVectorXf z = Eigen::RowVectorXf::Zero(d);
      for (Index i = 0; i < n; i += fw::linear_chunk) {
        const Index rows = std::min(fw::linear_chunk, n - i);
        const auto part = [&](fw::matrix<float>& m) { return fw::eigen(m).block(i, h * d, rows, d); };
        const dense q = feature(part(in->q)), k = feature(part(in->k)), v = part(in->v);
        dense a = q * k.transpose();
        a.triangularView<Eigen::StrictlyUpper>().setZero();
        const Eigen::VectorXf denominator = a.rowwise().sum() + q * z.transpose();
        dense o = a * v;
        o.noalias() += q * s;
        part(in->out) = denominator.cwiseInverse().asDiagonal() * o;
        s.noalias() += k.transpose() * v;
        z += k.colwise().sum();
      }
    }
  };
}

/// The recurrence in loops, token by token.
auto naive_forward(Index n, Index heads, Index d) {
  return [in = std::make_shared<inputs>(n, fw::head_shape{heads, heads, d, d}), n, heads, d] {
    const auto feature = [](float x) { return x >= 0 ? x + 1 : std::exp(x); };
    for (Index h = 0; h < heads; ++h) {
      fw::matrix<float> s(d, d, 0.0f), z(1, d, 0.0f);
      for (Index i = 0; i < n; ++i) {
        float denominator = 0;
        float* o = in->out.row(i) + h * d;
        std::fill_n(o, d, 0.0f);
        for (Index f = 0; f < d; ++f) {
          const float q = feature(in->q(i, h * d + f)), k = feature(in->k(i, h * d + f));
          z(0, f) += k;
          denominator += q * z(0, f);
          for (Index x = 0; x < d; ++x) {
            s(f, x) += k * in->v(i, h * d + x);
            o[x] += q * s(f, x);
          }
        }
        for (Index x = 0; x < d; ++x) o[x] /= denominator;
      }
    }
  };
}

}  // namespace

void bench::rows() {
  const fw::head_shape eight{8, 8, 64, 64};
  for (const Index n : {1024, 4096, 16384, 65536}) {
    const std::string tail = "causal/heads:8/n:" + std::to_string(n) + "/d:64";
    const double forward = forward_flops(n, eight), both = forward + backward_flops(n, eight);
    bench::row("linear_attend/forward/" + tail, {.flops = forward}, [=] {
      return [in = std::make_shared<inputs>(n, eight)] { in->forward(policies); };
    });
    bench::row("linear_attend/forward_backward/" + tail, {.flops = both}, [=] {
      return [in = std::make_shared<inputs>(n, eight)] { in->forward(policies), in->backward(policies); };
    });
    if (n > 4096) continue;
    bench::row("two_threads/linear_attend/forward_backward/" + tail, {.flops = both}, [=] {
      return [in = std::make_shared<inputs>(n, eight)] { in->forward(policies), in->backward(policies); };
    });
    bench::row("eigen/linear_attend/forward/" + tail, {.flops = forward}, [=] { return eigen_forward(n, 8, 64); });
    bench::row("naive/linear_attend/forward/" + tail, {.flops = forward}, [=] { return naive_forward(n, 8, 64); });
  }

  const auto map_rows = [&](const std::string& name, fw::head_shape shape, const auto& feature) {
    const auto map = fw::prepared<float>(*feature, shape.key_width);
    const fw::linear_attend_policies<fw::key_sums::causal, std::remove_const_t<decltype(map)>> chosen{map, {}};
    const fw::head_shape inner = chosen.features_of(shape);
    const std::string tail = name + "/causal/heads:8/n:4096/d:" + std::to_string(shape.key_width) +
                             "/features:" + std::to_string(inner.key_width);
    bench::row("linear_attend/forward/" + tail, {.flops = forward_flops(4096, inner)}, [=] {
      return [in = std::make_shared<inputs>(4096, shape), chosen, feature] { in->forward(chosen); };
    });
    bench::row("linear_attend/forward_backward/" + tail,
               {.flops = forward_flops(4096, inner) + backward_flops(4096, inner)}, [=] {
                 return [in = std::make_shared<inputs>(4096, shape), chosen, feature] {
                   in->forward(chosen), in->backward(chosen);
                 };
               });
  };
  const fw::head_shape narrow{8, 8, 16, 64};
  fw::rng random{1};
  const fw::builder b{.sizes = {.width = 64, .heads = 1}, .random = random};
  map_rows("one_plus_cos", eight, std::make_shared<fw::one_plus_cos>());
  map_rows("favor", eight, std::make_shared<fw::favor<float>>(fw::favor<float>::make(b, {})));
  map_rows("taylor_map", narrow, std::make_shared<fw::taylor_map>());

  bench::row("linear_attend/forward_backward/causal/rope/heads:8/n:4096/d:64",
             {.flops = forward_flops(4096, eight) + backward_flops(4096, eight)}, [=] {
               const fw::linear_attend_policies<fw::key_sums::causal, fw::elu_plus_one, turn> turning{
                   {}, {std::make_shared<fw::rotary_table<float>>(fw::rope<>{}.table<float>(64, 4096))}};
               return [in = std::make_shared<inputs>(4096, eight), turning] { in->forward(turning), in->backward(turning); };
             });
  for (const Index position : {1024, 65536})
    bench::row("linear_attend/decode/heads:8/position:" + std::to_string(position) + "/d:64",
               {.bytes = 8.0 * 64 * 64 * 4, .tokens = 1}, [=] { return decode(position, eight); });
}
