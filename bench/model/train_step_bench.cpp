// SPDX-License-Identifier: MIT
// Whole training steps: forward, backward, clipping, AdamW.
#include <memory>
#include <string>
#include <vector>

#include "model/gpt2.hpp"
#include "support/bench.hpp"

using namespace models;

namespace {

template <class Make>
void step_row(const std::string& name, Make make, Index batch, Index length) {
  const auto probe = make();
  const double flops = step_flops(probe, batch, length);
  for (const std::string& prefix : {std::string(), std::string("two_threads/")})
    bench::row(prefix + "train_step/" + name, {.flops = flops, .tokens = static_cast<double>(batch * length)},
               [make, batch, length] {
                 struct run {
                   decltype(make()) model;
                   fw::optimizer<fw::adamw> optimizer;
                   fw::tape<float> tape;
                   fw::training_batch data;
                 };
                 auto r = std::make_shared<run>(make(), fw::optimizer(fw::otherwise(fw::adamw{.rate = 1e-4})));
                 r->data = random_batch(batch, length, r->model.sizes.vocab);
                 return [r] {
                   r->tape.backward(fw::cross_entropy(r->model(r->tape, r->data.input), r->data.target));
                   fw::clip_by_global_norm(r->model, 1.0);
                   r->optimizer.step(r->model);
                 };
               });
}

/// What any model on plain Eigen pays at least: the three products of every weight, and nothing between them.
template <class Make>
void eigen_products_row(const std::string& name, Make make, Index batch, Index length) {
  using dense = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  struct weight {
    dense value, gradient, x, dx, y;
  };
  const auto probe = make();
  const Index tokens = batch * length;
  bench::row("eigen/train_step/" + name + "/products_only",
             {.flops = 6 * multiplied_weights(probe) * static_cast<double>(tokens), .tokens = static_cast<double>(tokens)},
             [make, tokens] {
               auto all = std::make_shared<std::vector<weight>>();
               const auto model = make();
               const auto add = [&](Index in, Index out) {
                 all->push_back({dense::Random(in, out), dense(in, out), dense::Random(tokens, in), dense(tokens, in), dense(tokens, out)});
               };
               fw::for_each_parameter(model, [&](const auto& p) {
                 if (p.kind() == fw::role::matrix || p.kind() == fw::role::head) add(p.rows(), p.cols());
               });
               if (model.sizes.head == fw::tying::tied) add(model.sizes.width, model.sizes.vocab);
               return [all] {
                 for (weight& w : *all) {
                   w.y.noalias() = w.x * w.value;
                   w.dx.noalias() = w.y * w.value.transpose();
                   w.gradient.noalias() = w.x.transpose() * w.y;
                   bench::keep(w);
                 }
               };
             });
}

}  // namespace

void bench::rows() {
  step_row("gpt2_124m/b4_t64", make_gpt2, 4, 64);
  eigen_products_row("gpt2_124m/b4_t64", make_gpt2, 4, 64);
  step_row("char/w256_d6_h8_t256_b16", make_character, 16, 256);
  eigen_products_row("char/w256_d6_h8_t256_b16", make_character, 16, 256);
}
