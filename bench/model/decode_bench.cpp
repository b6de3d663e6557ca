// SPDX-License-Identifier: MIT
// One token with a full cache: bound by reading the weights.
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "model/gpt2.hpp"
#include "support/bench.hpp"

using namespace models;

void bench::rows() {
  constexpr Index cached = 512;
  const double weights = multiplied_weights(make_gpt2());
  const work per_token{.bytes = 4 * weights, .tokens = 1};
  for (const std::string& prefix : {std::string(), std::string("two_threads/")})
    row(prefix + "decode/gpt2_124m", per_token, [] {
      struct run {
        gpt2 model;
        gpt2::state state;
        fw::tape<float> quiet{fw::recording::off};
        fw::tokens next{7};
      };
      auto r = std::make_shared<run>(make_gpt2());
      r->state = r->model.make_state({.sequences = 1, .capacity = cached + 1});
      const auto prompt = random_batch(1, cached, r->model.sizes.vocab);
      r->model(r->quiet, prompt.input, r->state).last();
      return [r] {
        bench::keep(r->model(r->quiet, r->next, r->state).last());
        r->state.seen.truncate(0, cached);  // the next token meets the same cache
        for (auto& layer : r->state.layers) std::visit([](auto& of) { of.inner.cache.truncate(0, cached); }, layer);
      };
    });

  // The products alone on plain Eigen: one row times every weight.
  row("eigen/decode/gpt2_124m/products_only", per_token, [] {
    using dense = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
    auto weight = std::make_shared<std::vector<dense>>();
    const auto model = make_gpt2();
    fw::for_each_parameter(model, [&](const auto& p) {
      if (p.kind() == fw::role::matrix) weight->push_back(dense::Random(p.rows(), p.cols()));
    });
    weight->push_back(dense::Random(model.sizes.width, model.sizes.vocab));
    return [weight] {
      for (const dense& w : *weight) {
        dense x = dense::Constant(1, w.rows(), 1), y(1, w.cols());
        y.noalias() = x * w;
        bench::keep(y);
      }
    };
  });
}
