// SPDX-License-Identifier: MIT
#include <formwork/ssm.hpp>
#include <formwork/tape/ops.hpp>

#include "support/bench.hpp"

// Counted a coefficient and channel: 14 operations for a step of LegS (8 instructions), 2 order for a dense matrix, 4 order for
// exact LegS. Training counts three walks (forward, again, adjoint), 6 operations a coefficient for reading and its gradients,
// and the output's product.

namespace fw = formwork;
using fw::Index;

namespace {

constexpr Index order = 64, width = 256;

/// A run of samples into the memories of `width` channels.
template <class Basis, class Discretisation>
void feed_row(const std::string& name, double each) {
  constexpr Index samples = 64;
  bench::row("hippo/feed/" + name + "/N:64/channels:256",
             {.flops = each * order * width * samples, .tokens = samples}, [] {
               auto memory = std::make_shared<fw::hippo_memory<Basis, Discretisation, float>>(
                   fw::hippo_memory_sizes{.order = order, .channels = width});
               fw::matrix<float> u(samples, width);
               fw::eigen(u).setRandom();
               return [memory, u] { memory->feed(u); };
             });
}

/// Forward and backward of the mixer on one sequence.
template <class Basis, class Discretisation = fw::bilinear>
void train_row(const std::string& name, Index length, double each) {
  const auto tokens = static_cast<double>(length);
  bench::row(name + "/L:" + std::to_string(length) + "/N:64/width:256",
             {.flops = tokens * width * ((3 * each + 6) * order + 6.0 * width), .tokens = tokens}, [length] {
               fw::rng random{1};
               auto mixer = std::make_shared<fw::hippo<float, Basis, Discretisation>>(
                   fw::hippo<float, Basis, Discretisation>::make(fw::builder{.sizes = {.width = width}, .random = random}));
               fw::matrix<float> u(length, width);
               fw::eigen(u).setRandom();
               return [mixer, u, tape = std::make_shared<fw::tape<float>>()] {
                 fw::for_each_parameter(*mixer, [](auto& p) { p.mark_stale(); });
                 tape->backward(fw::mean((*mixer)(tape->input(fw::matrix<float>(u)))));
               };
             });
}

/// The step as one writes it with Eigen, on (channels × order) states.
void eigen_rows() {
  constexpr Index samples = 64;
  bench::row("eigen/hippo/feed/legt_bilinear/N:64/channels:256",
             {.flops = 2.0 * order * order * width * samples, .tokens = samples}, [] {
               const auto step = fw::discretise(fw::legt{}.ode(order), 1.0, fw::bilinear{});
               Eigen::MatrixXf a = fw::eigen(step.a).cast<float>(), b = fw::eigen(step.b).cast<float>();
               Eigen::MatrixXf x = Eigen::MatrixXf::Zero(order, width), u = Eigen::MatrixXf::Random(samples, width), next = x;
               return [=]() mutable {
                 for (Index k = 0; k < samples; ++k) {
                   next.noalias() = a * x;
                   next.noalias() += b * u.row(k);
                   x.swap(next);
                 }
               };
             });
  bench::row("eigen/hippo/feed/legs_bilinear/N:64/channels:256",
             {.flops = 14.0 * order * width * samples, .tokens = samples}, [] {
               const auto ode = fw::legs{}.ode(order);
               Eigen::MatrixXf a = fw::eigen(ode.a).cast<float>(), b = fw::eigen(ode.b).cast<float>(), left = a;
               Eigen::MatrixXf x = Eigen::MatrixXf::Zero(order, width), u = Eigen::MatrixXf::Random(samples, width), next = x;
               return [=, k = 0.0f]() mutable {
                 for (Index i = 0; i < samples; ++i) {
                   k += 1;
                   next = x;
                   next.noalias() += a.triangularView<Eigen::Lower>() * ((0.5f / k) * x);
                   next.noalias() += (0.5f / k + 0.5f / (k + 1)) * b * u.row(i);
                   left = (-0.5f / (k + 1)) * a;
                   left.diagonal().array() += 1;
                   left.triangularView<Eigen::Lower>().solveInPlace(next);
                   x.swap(next);
                 }
               };
             });
}

}  // namespace

void bench::rows() {
  feed_row<fw::legs, fw::bilinear>("legs_bilinear", 14);
  feed_row<fw::legs, fw::zero_order_hold>("legs_exact", 4.0 * order);
  feed_row<fw::legt, fw::bilinear>("legt_bilinear", 2.0 * order);
  eigen_rows();
  for (const Index length : {1024, 8192, 65536}) train_row<fw::legs>("hippo/train/legs", length, 14);
  train_row<fw::legs>("two_threads/hippo/train/legs", 8192, 14);
  for (const Index length : {1024, 8192}) train_row<fw::legt>("hippo/train/legt", length, 2.0 * order);
}
