// SPDX-License-Identifier: MIT
#include <formwork/io.hpp>

#include <thread>

#include "io/scratch_folder.hpp"
#include "laws/observer_laws.hpp"
#include "model/small_models.hpp"

namespace fw = formwork;
using fw::Index;
using laws::keys_above;

namespace {

template <class... Policy>
using layer = fw::block<float, fw::attention<float, fw::causal, Policy...>, fw::mlp<float>>;
/// Heads that share keys in the first and the third layer, heads that mix and what else is learned in the second.
template <class One, class Two>
using model_of = fw::language_model<float, One, Two>;
using plain = model_of<layer<fw::rope<>, fw::softcap>, layer<fw::talking_heads<float>, fw::t5<float>, fw::urpe<float>>>;
using watched = model_of<layer<fw::row_entropy, fw::rope<>, fw::largest_logit, fw::softcap>,
                         layer<fw::talking_heads<float>, fw::t5<float>, fw::urpe<float>, keys_above>>;

const fw::sizes sizes{.vocab = 31, .width = 16, .depth = 3, .heads = 2, .pattern = {0, 1, 0}};
const fw::sequences batch{70, 1, 210};

template <class Model, class... Value>
Model make(const Value&... value) {
  fw::rng random{3};
  return Model::make(sizes, random, value...);
}
fw::tokens text_of(const fw::sequences& rows) { return {small::ids(rows.rows(), sizes.vocab, 5), rows}; }

fw::observations<float> seen_by(const watched& model, const fw::tokens& text) {
  fw::tape<float> quiet{fw::recording::off};
  fw::observations<float> seen;
  quiet.watch(seen);
  model(quiet, text);
  return seen;
}
bool same(const fw::observations<float>& a, const fw::observations<float>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) {
    return x.name == y.name && checks::same_bits(x.numbers, y.numbers);
  });
}

/// The loss and all gradients of one training step.
template <class Model>
std::vector<fw::matrix<float>> step(Model& model, fw::observations<float>* seen) {
  fw::tape<float> tape;
  if (seen) tape.watch(*seen);
  const auto text = text_of(batch);
  const auto loss = fw::cross_entropy(model(tape, text), text.ids);
  std::vector<fw::matrix<float>> r{fw::matrix<float>(loss.value())};
  tape.backward(loss);
  fw::for_each_parameter(model, [&](const auto& p) { r.emplace_back(p.gradient()); });
  return r;
}
bool same(const std::vector<fw::matrix<float>>& a, const std::vector<fw::matrix<float>>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), checks::same_bits<float>);
}

}  // namespace

TEST_CASE("A tape that watches lists what the observers see, layer by layer, in the order they were given") {
  const auto model = make<watched>();
  const auto seen = seen_by(model, text_of(batch));
  REQUIRE(seen.size() == 5);
  const std::string_view names[] = {"row_entropy", "largest_logit", "keys_above", "row_entropy", "largest_logit"};
  for (std::size_t i = 0; i < seen.size(); ++i) {
    CHECK(seen[i].name == names[i]);
    CHECK(seen[i].numbers.rows() == batch.rows());
    CHECK(seen[i].numbers.cols() == sizes.heads);
  }
  CHECK_FALSE(checks::same_bits(seen[0].numbers, seen[3].numbers));
}

TEST_CASE("A tape that no longer watches adds nothing, one that still does adds behind what is there") {
  const auto model = make<watched>();
  const auto text = text_of({4});
  fw::tape<float> quiet{fw::recording::off};
  fw::observations<float> seen;
  model(quiet, text);
  CHECK(seen.empty());
  quiet.watch(seen);
  model(quiet, text);
  model(quiet, text);
  REQUIRE(seen.size() == 10);
  CHECK(checks::same_bits(seen[1].numbers, seen[6].numbers));
  quiet.unwatch();
  model(quiet, text);
  CHECK(seen.size() == 10);
}

TEST_CASE("Loss and gradients have the same bits without observers, with them, and with a tape that watches") {
  auto bare = make<plain>();
  auto model = make<watched>(), other = make<watched>();
  fw::observations<float> seen;
  const auto expected = step(bare, nullptr);
  CHECK(expected.size() > 20);
  CHECK(same(step(model, nullptr), expected));
  CHECK(same(step(other, &seen), expected));
  CHECK(same(seen, seen_by(make<watched>(), text_of(batch))));  // training sees what inference sees
}

TEST_CASE("Layers that are computed again in the backward pass are observed once") {
  auto model = make<watched>(), again = make<watched>();
  again.layers.memory = fw::recompute::each_layer;
  fw::observations<float> once, seen;
  const auto expected = step(model, &once);
  CHECK(same(step(again, &seen), expected));
  CHECK(same(seen, once));
}

TEST_CASE("Tokens that come one by one after a prefill are observed with the bits of the parallel form") {
  const auto model = make<watched>();
  const auto text = text_of(batch);
  const auto whole = seen_by(model, text);
  auto state = model.make_state({.sequences = 3, .capacity = 210});
  fw::tape<float> quiet{fw::recording::off};
  fw::observations<float> seen;
  quiet.watch(seen);
  std::vector<Index> done(3, 0);
  std::vector<std::vector<Index>> calls{{66, 1, 200}, {1, 0, 1}, {1, 0, 1}, {2, 0, 5}, {0, 0, 1}, {0, 0, 1}, {0, 0, 1}};
  for (const auto& counts : calls) {
    std::vector<Index> ids;
    for (std::size_t s = 0; s < 3; ++s)
      for (Index i = 0; i < counts[s]; ++i)
        ids.push_back(text.ids[static_cast<std::size_t>(batch.first(Index(s)) + done[s] + i)]);
    const fw::tokens next{ids, fw::sequences(counts)};
    seen.clear();
    model(quiet, next, state);
    REQUIRE(seen.size() == whole.size());
    for (std::size_t n = 0; n < seen.size(); ++n)
      for (std::size_t s = 0; s < 3; ++s) {
        CAPTURE(n, s, done[s]);
        CHECK(bits::same_rows(seen[n].numbers, next.batch.first(Index(s)), whole[n].numbers, batch.first(Index(s)) + done[s],
                              counts[s]));
      }
    for (std::size_t s = 0; s < 3; ++s) done[s] += counts[s];
  }
  CHECK(done == std::vector<Index>{70, 1, 210});
}

TEST_CASE("A tape that watches takes nothing more from the system once it has watched") {
  const auto model = make<watched>();
  const auto text = text_of(batch);
  fw::tape<float> quiet{fw::recording::off};
  fw::observations<float> seen;
  quiet.watch(seen);
  model(quiet, text);
  const auto before = fw::pool::instance().statistics().system_calls;
  for (int again = 0; again < 3; ++again) {
    seen.clear();
    model(quiet, text);
  }
  CHECK(fw::pool::instance().statistics().system_calls == before);
}

TEST_CASE("Threads that share a model observe it each on a tape of its own") {
  const auto model = make<watched>();
  fw::observations<float> seen[3];
  const auto text = [](std::size_t t) { return text_of({static_cast<Index>(40 + 50 * t), 3}); };
  std::vector<std::thread> team;
  for (std::size_t t = 0; t < 3; ++t) team.emplace_back([&, t] { seen[t] = seen_by(model, text(t)); });
  for (auto& one : team) one.join();
  for (std::size_t t = 0; t < 3; ++t) CHECK(same(seen[t], seen_by(make<watched>(), text(t))));
}

TEST_CASE("An observer's value is given to make() and changed by assign()") {
  const auto text = text_of({30});
  const auto mean = [&](const watched& model) {
    return static_cast<double>(fw::eigen(seen_by(model, text)[2].numbers).mean());
  };
  auto model = make<watched>(keys_above{.share = 0});
  CHECK(mean(model) == 15.5);  // every key a causal row sees
  fw::assign(model, keys_above{.share = 1.5});
  CHECK(mean(model) == 0);
}

TEST_CASE("Observers are no part of a composition: models are loaded from files written with and without them") {
  const scratch_folder folder;
  auto bare = make<plain>();
  auto model = make<watched>();
  CHECK(fw::composition_of(model) == fw::composition_of(bare));
  fw::for_each_parameter(bare, [](auto& p) { p.value().data()[0] += 1; });
  fw::save_model(folder.path("bare"), bare);
  fw::load_model(folder.path("bare"), model);
  CHECK(checks::same_bits(fw::matrix<float>(model.head.value()), fw::matrix<float>(bare.head.value())));
  fw::save_model(folder.path("watched"), model);
  CHECK_NOTHROW(fw::load_model(folder.path("watched"), bare));
  CHECK(folder.content("watched") == folder.content("bare"));
}
