// SPDX-License-Identifier: MIT
#include <formwork/io/checkpoint.hpp>

#include <algorithm>
#include <cmath>

#include "io/scratch_folder.hpp"
#include "model/small_models.hpp"
#include "support/catch.hpp"

using namespace small;

namespace {

template <class S, class Residual, class Cross, class Feed, class Position>
using translator =
    fw::encoder_decoder<S, fw::block<S, Residual, fw::attention<S, fw::full>, Feed>,
                        fw::decoder_block<S, Residual, fw::attention<S, fw::causal>, Cross, Feed>, Position>;
template <class S>
using vaswani = translator<S, fw::post_norm<fw::layer_norm>, fw::cross_attention<S>, fw::mlp<S>, fw::sinusoidal>;

using small_translator =
    translator<float, fw::pre_norm<fw::rms_norm>, fw::cross_attention<float>, fw::mlp<float>, fw::sinusoidal>;

/// Everything else: its own table for the source, rope within the texts, no absolute position, talking heads across.
template <class S>
using modern = fw::encoder_decoder<
    S, fw::block<S, fw::attention<S, fw::full, fw::rope<>>, fw::gated_mlp<S, fw::silu>>,
    fw::decoder_block<S, fw::attention<S, fw::causal, fw::rope<>, fw::grouped>,
                      fw::cross_attention<S, fw::talking_heads<S>, fw::log_n>, fw::gated_mlp<S, fw::silu>>>;

const fw::sizes tied{.vocab = 31, .width = 24, .depth = 2, .heads = 3, .bias = fw::biases::all, .head = fw::tying::tied};
const fw::sizes apart{.vocab = 31, .width = 24, .depth = 1, .heads = 3, .hidden = 40, .source_vocab = 17, .decoder_depth = 2};

template <class Model>
Model make_model(const fw::sizes& sizes, std::uint64_t seed = 3) {
  fw::rng random{seed};
  return Model::make(sizes, random);
}

/// The sequences that begin at `first`, as many as `count`.
fw::tokens part_of(const fw::tokens& x, Index first, Index count) {
  std::vector<Index> lengths;
  for (Index s = first; s < first + count; ++s) lengths.push_back(x.batch.length(s));
  return {std::vector<Index>(x.ids.begin() + x.batch.first(first), x.ids.begin() + x.batch.first(first + count)),
          fw::sequences(lengths)};
}

template <class Model>
auto scores_of(const Model& model, const fw::tokens& source, const fw::tokens& target) {
  fw::tape<typename Model::scalar> quiet{fw::recording::off};
  return fw::matrix<typename Model::scalar>(model(quiet, source, target).value().value());
}

/// Prefill up to each of the cuts, then token by token, has the bits of the whole.
template <class Model>
void decodes_as_it_reads(const Model& model) {
  const auto source = batch_of({401, 1, 20}, 17, 8), target = batch_of({390, 5, 1}, 31, 9);
  const auto expected = scores_of(model, source, target);
  for (const std::vector<Index>& cuts : {std::vector<Index>{390}, {1, 2, 385}, {4, 386}}) {
    auto state = model.make_state({.sequences = 3, .capacity = 390}, source);
    fw::tape<typename Model::scalar> quiet{fw::recording::off};
    Index done = 0;
    const auto feed = [&](Index upto) {
      std::vector<Index> next, counts;
      for (Index s = 0; s < 3; ++s) {
        const Index from = std::min(done, target.batch.length(s)), end = std::min(upto, target.batch.length(s));
        counts.push_back(end - from);
        for (Index i = from; i < end; ++i) next.push_back(target.ids[static_cast<std::size_t>(target.batch.first(s) + i)]);
      }
      const fw::sequences rows(counts);
      const auto scores = model(quiet, fw::tokens(next, rows), state).value();
      for (Index s = 0; s < 3; ++s) {
        CAPTURE(s, done, upto);
        CHECK(same_bits(scores.value().rows(rows.first(s), rows.length(s)),
                        expected.rows(target.batch.first(s) + std::min(done, target.batch.length(s)), rows.length(s))));
      }
      done = upto;
    };
    for (const Index cut : cuts) feed(cut);
    while (done < 390) feed(done + 1);
  }
}

/// Texts of 3 to 6 of the tokens 3 .. 11, and what is to be written for them: 1, then the source backwards, then 2.
struct reversal {
  fw::tokens source, input;
  std::vector<Index> target;

  reversal(Index count, fw::rng& random) {
    std::vector<Index> lengths, ids, target_lengths, inputs;
    for (Index s = 0; s < count; ++s) {
      const Index n = 3 + random.below(4);
      for (Index i = 0; i < n; ++i) ids.push_back(3 + random.below(9));
      lengths.push_back(n), target_lengths.push_back(n + 1);
      inputs.push_back(1);
      inputs.insert(inputs.end(), ids.rbegin(), ids.rbegin() + n);
      target.insert(target.end(), ids.rbegin(), ids.rbegin() + n);
      target.push_back(2);
    }
    source = {ids, fw::sequences(lengths)};
    input = {inputs, fw::sequences(target_lengths)};
  }
};

}  // namespace

TEST_CASE("encoder_decoder: every gradient is right, with sources of other lengths than targets", "[gradcheck]") {
  const auto check = [](auto model) {
    const auto source = batch_of({2, 6, 1}, 17, 6), target = batch_of({5, 1, 3}, 31, 7);
    auto targets = ids(9, 31, 8);
    targets[2] = -1;
    const auto report = fw::gradcheck(
        model, [&](fw::tape<double>& t) { return fw::cross_entropy(model(t, source, target), targets); },
        {.every_up_to = 60, .sample = 12});
    INFO(report);
    CHECK(report);
  };
  check(make_model<vaswani<double>>(tied));
  check(make_model<modern<double>>(apart));
  check(make_model<translator<double, fw::deep_norm<fw::layer_norm>, fw::cross_attention<double>, fw::mlp<double>,
                              fw::learned<double>>>(tied));
}

TEST_CASE("encoder_decoder: prefill in any split, then steps, equals the parallel form", "[D4]") {
  decodes_as_it_reads(make_model<vaswani<float>>(tied));
  decodes_as_it_reads(make_model<modern<float>>(apart));
}

TEST_CASE("encoder_decoder: two texts have the same scores alone and in a ragged batch", "[D3]") {
  const auto check = [](const auto& model) {
    const auto source = batch_of({40, 1, 7}, 17, 8), target = batch_of({3, 33, 8}, 31, 9);
    const auto together = scores_of(model, source, target);
    for (Index s = 0; s < 3; ++s)
      CHECK(same_bits(scores_of(model, part_of(source, s, 1), part_of(target, s, 1)),
                      together.rows(target.batch.first(s), target.batch.length(s))));
  };
  check(make_model<vaswani<float>>(tied));
  check(make_model<modern<float>>(apart));
}

TEST_CASE("encoder_decoder: training, with dropout, gives the same bits on any number of threads", "[D1][D2]") {
  const auto trained = [](int threads) {
    const int before = fw::threads();
    fw::threads(threads);
    auto sizes = tied;
    sizes.dropout = 0.1;
    auto model = make_model<vaswani<float>>(sizes);
    fw::optimizer optimizer(fw::otherwise(fw::adamw{.rate = 1e-2}));
    fw::tape<float> tape{{.seed = 5}};
    for (std::uint64_t step = 0; step < 3; ++step) {
      const auto source = batch_of({20, 1, 7}, 31, step), target = batch_of({3, 33, 8}, 31, step + 20);
      tape.backward(fw::cross_entropy(model(tape, source, target), ids(44, 31, step + 50)));
      optimizer.step(model);
    }
    fw::threads(before);
    return parameters_of(model);
  };
  const auto expected = trained(1);
  for (const int threads : {1, 2, 8}) {
    const auto got = trained(threads);
    for (std::size_t i = 0; i < got.size(); ++i) CHECK(same_bits(got[i], expected[i]));
  }
}

TEST_CASE("encoder_decoder: recomputing the layers of both sides changes no bit of the gradients") {
  auto model = make_model<modern<float>>(apart);
  const auto gradients = [&](fw::recompute how) {
    model.encoder.memory = model.decoder.memory = how;
    fw::for_each_parameter(model, [](auto& p) { p.mark_stale(); });
    fw::tape<float> tape;
    tape.backward(fw::cross_entropy(model(tape, batch_of({9, 4}, 17, 1), batch_of({3, 10}, 31, 2)), ids(13, 31, 2)));
    std::vector<fw::matrix<float>> all;
    fw::for_each_parameter(model, [&](auto& p) { all.emplace_back(std::as_const(p).gradient()); });
    return all;
  };
  const auto recorded = gradients(fw::recompute::none), recomputed = gradients(fw::recompute::each_layer);
  for (std::size_t i = 0; i < recorded.size(); ++i) CHECK(same_bits(recorded[i], recomputed[i]));
}

TEST_CASE("encoder_decoder: scores depend on all of the source and no later target") {
  const auto model = make_model<vaswani<double>>(tied);
  const auto before = scores_of(model, {4, 5, 6}, {1, 2, 3});
  for (const auto& source : {fw::tokens{9, 5, 6}, fw::tokens{4, 5, 9}, fw::tokens{5, 4, 6}})
    CHECK_FALSE(same_bits(scores_of(model, source, {1, 2, 3}).rows(0, 1), before.rows(0, 1)));
  const auto after = scores_of(model, {4, 5, 6}, {1, 2, 9});
  CHECK(same_bits(after.rows(0, 2), before.rows(0, 2)));
  CHECK_FALSE(same_bits(after.rows(2, 1), before.rows(2, 1)));
}

TEST_CASE("encoder_decoder: one table serves both texts unless the source is given its own") {
  const auto names = [](const auto& model) {
    std::vector<std::string> r;
    fw::for_each_named_parameter(model, [&](const std::string& path, const auto&) { r.push_back(path); });
    return r;
  };
  const auto holds = [](const std::vector<std::string>& all, const char* one) {
    return std::find(all.begin(), all.end(), one) != all.end();
  };
  const auto shared = make_model<vaswani<float>>(tied);
  CHECK_FALSE(holds(names(shared), "source_embedding.table"));
  CHECK_FALSE(holds(names(shared), "head.weight"));
  CHECK(holds(names(shared), "decoder.1.cross.key.weight"));
  const auto own = make_model<modern<float>>(apart);
  CHECK(own.source_embed.table.rows() == 17);
  CHECK(own.encoder.size() == 1);
  CHECK(own.decoder.size() == 2);
  CHECK(holds(names(own), "head.weight"));
}

// Wang et al., 2203.00555, table of constants; N = M = 18 by hand.
TEST_CASE("deep_norm beside an encoder or a decoder has the constants of the paper") {
  using published = fw::deep_norm<fw::layer_norm>;
  const auto at = [](fw::stack_kind stack, Index depth, Index other) {
    return published{}.at({.depth = depth, .layer = 0, .stack = stack, .other_depth = other});
  };
  CHECK(at(fw::stack_kind::encoder, 18, 18).alpha() == Approx(1.99874632).epsilon(5e-9));
  CHECK(at(fw::stack_kind::encoder, 18, 18).beta() == Approx(0.35257101).epsilon(2e-8));
  CHECK(at(fw::stack_kind::decoder, 18, 18).alpha() == Approx(2.71080601).epsilon(5e-9));
  CHECK(at(fw::stack_kind::decoder, 18, 18).beta() == Approx(0.26084743).epsilon(2e-8));
  CHECK(at(fw::stack_kind::encoder, 4, 1).alpha() == Approx(0.81 * std::sqrt(2.0)).epsilon(1e-14));  // (4⁴)^(1/16) = √2
  CHECK(at(fw::stack_kind::decoder, 4, 1).alpha() == Approx(std::pow(12.0, 0.25)).epsilon(1e-14));

  using deep = translator<float, published, fw::cross_attention<float>, fw::mlp<float>, fw::sinusoidal>;
  const auto model = make_model<deep>({.vocab = 31, .width = 24, .depth = 6, .heads = 3, .decoder_depth = 3});
  const auto& read = std::get<0>(model.encoder.layers[2]);
  const auto& write = std::get<0>(model.decoder.layers[2]);
  CHECK(read.residual.alpha() == at(fw::stack_kind::encoder, 6, 3).alpha());
  CHECK(write.residual.alpha() == at(fw::stack_kind::decoder, 3, 6).alpha());
}

TEST_CASE("encoder_decoder: fresh weights have the spread of their side, place and residual policy") {
  using published = fw::deep_norm<fw::layer_norm>;
  const fw::sizes sizes{.vocab = 31, .width = 96, .depth = 4, .heads = 3, .hidden = 160, .decoder_depth = 3};
  const auto check = [&](const auto& model, auto expected) {
    fw::for_each_named_parameter(model, [&](const std::string& path, const fw::parameter<float>& p) {
      if (p.kind() != fw::role::matrix) return;
      INFO(path);
      CHECK(std::sqrt(fw::squared_norm(p.value()) / static_cast<double>(p.size())) ==
            Approx(expected(path.rfind("encoder", 0) == 0, p)).epsilon(0.05));
    });
  };
  check(make_model<translator<float, published, fw::cross_attention<float>, fw::mlp<float>, fw::sinusoidal>>(sizes),
        [](bool encoder, const auto& p) {
          const auto at = p.where();
          const bool carries = at == fw::place::value || at == fw::place::output || at == fw::place::up || at == fw::place::down;
          const double beta = encoder ? 0.87 * std::pow(768.0, -1.0 / 16) : std::pow(36.0, -0.25);  // 4⁴ 3 = 768, 12 M = 36
          return (carries ? beta : 1) * std::sqrt(2 / static_cast<double>(p.rows() + p.cols()));
        });
  check(make_model<small_translator>(sizes),
        [](bool encoder, const auto& p) {
          const bool ends = p.where() == fw::place::output || p.where() == fw::place::down;
          return (ends ? 1 / std::sqrt(encoder ? 8.0 : 9.0) : 1) / std::sqrt(static_cast<double>(p.rows()));
        });
}

TEST_CASE("encoder_decoder: every branch of both sides drops by numbers of its own") {
  auto sizes = tied;
  sizes.decoder_depth = 3;
  const auto model = make_model<vaswani<float>>(sizes);
  std::vector<std::uint64_t> streams;
  for (const auto& one : model.encoder)
    for (const auto& drop : {std::get<0>(one).drop1, std::get<0>(one).drop2}) streams.push_back(drop.stream);
  for (const auto& one : model.decoder)
    for (const auto& drop : {std::get<0>(one).drop1, std::get<0>(one).drop2, std::get<0>(one).drop3})
      streams.push_back(drop.stream);
  REQUIRE(streams.size() == 2 * 2 + 3 * 3);
  for (std::size_t i = 0; i < streams.size(); ++i) CHECK(streams[i] == i);
}

TEST_CASE("encoder_decoder learns to write a text backwards: exact matches after training") {
  fw::rng random{3};
  auto model = small_translator::make({.vocab = 12, .width = 32, .depth = 1, .heads = 4}, random);
  fw::optimizer optimizer(fw::otherwise(fw::adamw{.rate = 3e-3}));
  fw::tape<float> tape;
  for (int step = 0; step < 500; ++step) {
    const reversal batch(32, random);
    tape.backward(fw::cross_entropy(model(tape, batch.source, batch.input), batch.target));
    optimizer.step(model);
  }
  const reversal unseen(50, random);
  int exact = 0;
  for (Index s = 0; s < 50; ++s) {
    const auto source = part_of(unseen.source, s, 1);
    const std::vector<Index> begin{1};
    const auto written = fw::generate(model, source.ids, begin, {.temperature = 0}, random, {.count = 8},
                                      [](Index id) { return id != 2; });
    std::vector<Index> expected(source.ids.rbegin(), source.ids.rend());
    expected.push_back(2);
    exact += written == expected;
  }
  CHECK(exact >= 45);
}

TEST_CASE("encoder_decoder: a file keeps every bit, and tells other depths of the decoder apart") {
  const scratch_folder folder;
  const auto model = make_model<modern<float>>(apart, 3);
  auto other = make_model<modern<float>>(apart, 4);
  fw::save_model(folder.path("model.safetensors"), model);
  fw::load_model(folder.path("model.safetensors"), other);
  const auto expected = parameters_of(model), got = parameters_of(other);
  REQUIRE(got.size() == expected.size());
  for (std::size_t i = 0; i < got.size(); ++i) CHECK(same_bits(got[i], expected[i]));
  auto deeper_sizes = apart;
  deeper_sizes.decoder_depth = 3;
  auto deeper = make_model<modern<float>>(deeper_sizes);
  CHECK_THROWS_WITH(fw::load_model(folder.path("model.safetensors"), deeper),
                    ContainsSubstring("it has decoder_depth 2 where this model has decoder_depth 3"));
}

TEST_CASE("encoder_decoder: keys of a state are turned again to the bits of a state that began so") {
  auto sizes = apart;
  sizes.decoder_depth = 1;  // a second layer would still have what the first computed before
  auto model = make_model<modern<float>>(sizes);
  fw::assign(model.decoder, fw::rope<>{.inverse_frequencies = {.formula = fw::dynamic, .training_length = 8}});
  const fw::tokens source{4, 5, 6}, target{1, 2, 3, 4, 5};
  fw::tape<float> quiet{fw::recording::off};
  const auto run = [&](auto& state, Index length) {
    auto next = fw::tokens{7};
    next.batch.declare(length);
    return fw::matrix<float>(model(quiet, next, state).value().value());
  };
  const auto begun = [&](Index length) {
    auto state = model.make_state({.capacity = 8, .length = length}, source);
    model(quiet, target, state);
    return state;
  };
  auto turned = begun(0), as_begun = begun(0), declared = begun(100);
  model.turn_again(turned, 100);
  const auto expected = run(declared, 100);
  CHECK(same_bits(run(turned, 100), expected));
  CHECK_FALSE(same_bits(run(as_begun, 0), expected));
}

TEST_CASE("encoder_decoder: wrong calls are refused with a remedy") {
  const auto model = make_model<modern<float>>(apart);
  fw::tape<float> quiet{fw::recording::off};
  CHECK_THROWS_WITH(model(quiet, batch_of({3, 2}, 17, 1), batch_of({3}, 31, 1)),
                    ContainsSubstring("encoder_decoder: the target has 1 sequences but the source has 2; needs as many"));
  CHECK_THROWS_WITH(model.make_state({.sequences = 1}, batch_of({3, 2}, 17, 1)),
                    ContainsSubstring("encoder_decoder: room for 1 sequences but the source has 2; needs as many"));
  CHECK_THROWS_WITH(model(quiet, fw::tokens{17}, fw::tokens{1}), ContainsSubstring("id 17"));
  auto state = model.make_state({.capacity = 3}, fw::tokens{1, 2});
  model(quiet, fw::tokens{1, 2}, state);
  CHECK_THROWS_WITH(model(quiet, fw::tokens{1, 2}, state), ContainsSubstring("needs a larger capacity"));
  CHECK_NOTHROW(model(quiet, fw::tokens{1}, state));
  CHECK_THROWS_WITH(model(quiet, batch_of({1, 1}, 31, 1), state), ContainsSubstring("2 sequences but the state has 1"));
  fw::rng random{1};
  auto sizes = apart;
  sizes.decoder_pattern = {0};
  CHECK_THROWS_WITH(modern<float>::make(sizes, random), ContainsSubstring("the pattern names 1 layers but depth is 2"));
}
