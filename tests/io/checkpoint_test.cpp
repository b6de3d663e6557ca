// SPDX-License-Identifier: MIT
#include <formwork/io/checkpoint.hpp>
#include <formwork/loss/logits.hpp>
#include <formwork/optim/adamw.hpp>
#include <formwork/optim/optimizer.hpp>
#include <formwork/optim/sgd.hpp>

#include "io/scratch_folder.hpp"
#include "support/catch.hpp"

#include <limits>

namespace fw = formwork;
using fw::Index;

namespace {

struct red {};
struct blue {};

/// Scores of the next token from the last one: as small as a model of tokens can be, with one value that no file holds.
template <class S, class Colour>
struct toy {
  using scalar = S;
  fw::sizes sizes;
  fw::embedding<S> embed;
  fw::parameter<S> weight, gain, head;
  double factor = 1;

  static toy make(fw::sizes sizes, std::uint64_t seed) {
    fw::rng random(seed);
    const fw::builder b{.sizes = sizes, .random = random};
    return {sizes, fw::embedding<S>::make(b), b.normal<S>(sizes.width, 2 * sizes.width, 1, fw::role::matrix),
            b.constant<S>(sizes.width, S(seed), fw::role::gain),
            b.normal<S>(2 * sizes.width, sizes.vocab, 1, fw::role::head)};
  }
  fw::logits<S> operator()(fw::tape<S>& t, const fw::tokens& x) const {
    return fw::logits<S>::by_weight(fw::scale(fw::product(embed(t, x), fw::use(t, weight)), factor), head);
  }
  template <class M>
  static auto fields(M& m) {
    return fw::fields("embedding", m.embed, "weight", m.weight, "gain", m.gain, "head.weight", m.head);
  }
};
struct plain_descent {
  template <fw::real S>
  struct state {
    void matrices(auto&&) {}
  };
  template <fw::real S>
  state<S> make_state(Index, Index) const {
    return {};
  }
  template <fw::real S>
  void update(const fw::update_site<S>&, state<S>&) const {}
};
template <class S>
using red_toy = toy<S, red>;
const fw::sizes small{.vocab = 7, .width = 4, .heads = 2};

template <class Model>
std::vector<double> numbers(const Model& model) {
  std::vector<double> all;
  fw::for_each_parameter(model, [&](const auto& p) {
    for (Index i = 0; i < p.size(); ++i) all.push_back(static_cast<double>(p.value().data()[i]));
  });
  return all;
}

/// What a call throws, without "operation: path: ".
template <class F>
std::string refusal(F&& f) {
  try {
    f();
  } catch (const fw::file_error& e) {
    const std::string all = e.what();
    CHECK(all.find('\n') == std::string::npos);
    return all.substr(all.find(": ", all.find(": ") + 2) + 2);
  }
  return "nothing was refused";
}

std::string changed(std::string all, const std::string& from, const std::string& to) {
  const std::size_t at = all.find(from);
  REQUIRE(at != std::string::npos);
  REQUIRE(from.size() == to.size());
  return all.replace(at, from.size(), to);
}

struct run_state {
  Index step = 0;
  fw::rng data = fw::rng(1);
  std::vector<double> losses = {};
  template <class M>
  static auto fields(M& m) {
    return fw::fields("step", m.step, "data", m.data, "losses", m.losses);
  }
};

}  // namespace

TEMPLATE_TEST_CASE("A saved model is loaded with the same bits", "", float, double) {
  const scratch_folder folder;
  const auto saved = red_toy<TestType>::make(small, 1);
  auto loaded = red_toy<TestType>::make(small, 2);
  REQUIRE(numbers(saved) != numbers(loaded));
  fw::save_model(folder.path("model"), saved);
  fw::load_model(folder.path("model"), loaded);
  CHECK(numbers(saved) == numbers(loaded));
}

TEST_CASE("A model file is a safetensors file with a tensor for each parameter under its path") {
  const scratch_folder folder;
  fw::save_model(folder.path("model"), red_toy<float>::make(small, 3));
  const auto file = fw::safetensors_file::read(folder.path("model"));
  CHECK(file.entry("embedding.table").shape == std::vector<Index>{7, 4});
  CHECK(file.entry("weight").shape == std::vector<Index>{4, 8});
  CHECK(file.entry("gain").shape == std::vector<Index>{4});
  CHECK(file.entry("head.weight").shape == std::vector<Index>{8, 7});
  CHECK(file.read<float>("gain")(0, 3) == 3);
  CHECK(file.metadata().at("formwork.composition") ==
        "toy<float, red> {vocab 7, width 4, depth 1, heads 2, key_heads 2, key_width 2, head_width 2, bias none, head "
        "own}");
  CHECK(file.metadata().at("formwork.abi") == fw::abi_tag);
  CHECK(file.read_integers<int>("formwork.self_test.lengths") == std::vector<int>{11, 1, 6});
  CHECK(file.read<float>("formwork.self_test.output").rows() == 3);
}

TEST_CASE("A foreign model is refused by name and the model stays as it was") {
  const scratch_folder folder;
  fw::save_model(folder.path("model"), red_toy<float>::make(small, 1));
  const auto refuses = [&](auto model, const std::string& expected) {
    const auto before = numbers(model);
    CHECK_THAT(refusal([&] { fw::load_model(folder.path("model"), model); }), StartsWith(expected));
    CHECK(numbers(model) == before);
  };
  refuses(toy<float, blue>::make(small, 2),
          "is another model: it has red where this model has blue; it was saved by toy<float, red> {vocab 7, width 4");
  refuses(red_toy<double>::make(small, 2), "is another model: it has float where this model has double");
  refuses(red_toy<float>::make({.vocab = 7, .width = 4, .heads = 1}, 2),
          "is another model: it has heads 2 where this model has heads 1");
  refuses(red_toy<float>::make({.vocab = 7, .width = 6, .heads = 2}, 2),
          "is another model: it has width 4 where this model has width 6");
}

TEST_CASE("Another composition is loaded on request, to 1e-4") {
  const scratch_folder folder;
  const auto saved = red_toy<float>::make(small, 1);
  fw::save_model(folder.path("model"), saved);
  auto blue_model = toy<double, blue>::make(small, 2);
  fw::load_model(folder.path("model"), blue_model, {.other_composition = fw::verdict::ignore});
  CHECK(numbers(blue_model) == numbers(saved));
  auto wide = red_toy<float>::make({.vocab = 7, .width = 6, .heads = 2}, 2);
  CHECK(refusal([&] { fw::load_model(folder.path("model"), wide, {.other_composition = fw::verdict::ignore}); }) ==
        "tensor \"embedding.table\" is (7 × 4); needs (7 × 6)");
}

TEST_CASE("The self-test refuses a model whose values differ, and the model stays as it was") {
  const scratch_folder folder;
  fw::save_model(folder.path("model"), red_toy<float>::make(small, 1));
  auto other = red_toy<float>::make(small, 2);
  other.factor = 1.001;
  const auto before = numbers(other);
  CHECK_THAT(refusal([&] { fw::load_model(folder.path("model"), other); }),
             StartsWith("fails its self-test: score 0 of sequence 0 is "));
  CHECK(numbers(other) == before);
}

TEST_CASE("The self-test is bitwise for the same build and to 1e-4 for another") {
  const scratch_folder folder;
  auto model = red_toy<float>::make(small, 1);
  fw::save_model(folder.path("model"), model);
  const std::string mine = folder.content("model"), abi = std::string("\"formwork.abi\":\"") + fw::abi_tag;
  std::string theirs_abi = abi;
  theirs_abi.back() = '!';
  const std::string compiler = fw::json_string(fw::compiler_text()).substr(1, 3);
  std::string theirs_compiler = compiler;
  theirs_compiler.back() = '!';
  const std::string other_abi = changed(mine, abi, theirs_abi);
  const std::string other_compiler =
      changed(mine, "\"formwork.compiler\":\"" + compiler, "\"formwork.compiler\":\"" + theirs_compiler);

  const auto verdict_with = [&](const std::string& bytes, double factor) {
    model.factor = factor;
    return refusal([&] { fw::load_model(folder.write("copy", bytes), model); });
  };
  CHECK(verdict_with(mine, 1) == "nothing was refused");
  CHECK_THAT(verdict_with(mine, 1 + 1e-6), ContainsSubstring("bit for bit"));
  for (const auto& bytes : {other_abi, other_compiler}) {
    CHECK(verdict_with(bytes, 1) == "nothing was refused");
    CHECK(verdict_with(bytes, 1 + 5e-5) == "nothing was refused");
    CHECK_THAT(verdict_with(bytes, 1 + 5e-4), ContainsSubstring("to 1e-4"));
  }
}

TEST_CASE("A self-test that is nonsense is a file error") {
  const scratch_folder folder;
  const auto with = [&](std::vector<std::int64_t> ids, std::vector<std::int64_t> lengths, Index rows) {
    auto model = red_toy<float>::make(small, 1);
    fw::safetensors_writer out;
    fw::for_each_named_parameter(model, [&](const std::string& path, auto& p) { out.add(path, p.value()); });
    out.add("formwork.self_test.tokens", ids);
    out.add("formwork.self_test.lengths", lengths);
    out.add("formwork.self_test.output", fw::matrix<float>(rows, 7, 0.0f));
    out.save(folder.path("model"));
    return refusal([&] { fw::load_model(folder.path("model"), model); });
  };
  CHECK_THAT(with({1, 2}, {2}, 1), StartsWith("fails its self-test"));
  CHECK(with(std::vector<std::int64_t>(1025), {1025}, 1) == "its self-test has 1025 tokens; needs at most 1024");
  CHECK_THAT(with({1, 2}, {2}, 2), StartsWith("its self-test gives (1 × 7) scores; needs the recorded (2 × 7)"));
  CHECK_THAT(with({1, 7}, {2}, 1), StartsWith("its self-test cannot be run"));
  CHECK_THAT(with({1, -1}, {2}, 1), StartsWith("its self-test cannot be run"));
  CHECK_THAT(with({1, 2}, {3}, 1), StartsWith("its self-test cannot be run"));
  CHECK_THAT(with({1, 2}, {-1, 3}, 1), StartsWith("its self-test cannot be run"));
  const auto largest = std::numeric_limits<std::int64_t>::max();
  CHECK_THAT(with({1, 2}, {largest, largest, 4}, 1), StartsWith("its self-test cannot be run"));
  CHECK_THAT(with({1, 2}, {2, 0}, 1), StartsWith("its self-test cannot be run"));
}

TEST_CASE("Missing, misshapen, whole-numbered and unused tensors are refused by name") {
  const scratch_folder folder;
  const auto saved = red_toy<float>::make(small, 1);
  const auto refuses = [&](auto&& add, fw::load_options options = {}) {
    fw::safetensors_writer out;
    fw::for_each_named_parameter(saved, [&](const std::string& path, const auto& p) {
      if (path != "weight") out.add(path, p.value());
    });
    add(out);
    out.save(folder.path("model"));
    auto model = red_toy<float>::make(small, 2);
    return refusal([&] { fw::load_model(folder.path("model"), model, options); });
  };
  const fw::matrix<float> good(4, 8, 1.0f), turned(8, 4, 1.0f);
  CHECK(refuses([&](auto& out) { out.add("weight", good); }) == "nothing was refused");
  CHECK(refuses([&](auto&) {}) == "has no tensor \"weight\"; needs every parameter of the model");
  CHECK(refuses([&](auto& out) { out.add("weight", turned); }) == "tensor \"weight\" is (8 × 4); needs (4 × 8)");
  CHECK(refuses([&](auto& out) {
          out.add("weight", std::vector<std::int64_t>(32), {4, 8});
        }) == "tensor \"weight\" is I64; needs F64, F32, F16 or BF16");
  const auto more = [&](auto& out) { out.add("weight", good), out.add("bias", good); };
  CHECK(refuses(more) == "has a tensor \"bias\" that the model has no parameter for");
  CHECK(refuses(more, {.unused_tensors = fw::verdict::ignore}) == "nothing was refused");
}

TEST_CASE("A file of another program is loaded by a map of names, its weights turned on request") {
  const scratch_folder folder;
  const auto saved = red_toy<float>::make(small, 1);
  const auto turned = [](fw::view<const float> m) {
    fw::matrix<float> r(m.cols(), m.rows());
    for (Index i = 0; i < m.rows(); ++i)
      for (Index j = 0; j < m.cols(); ++j) r(j, i) = m(i, j);
    return r;
  };
  fw::safetensors_writer out;
  out.add("wte.weight", saved.embed.table.value());
  out.add("h.weight", turned(saved.weight.value()));
  out.add("ln.weight", saved.gain.value(), {4});
  out.add("lm_head.weight", turned(saved.head.value()));
  out.save(folder.path("model"));

  const std::map<std::string, std::string> names{{"embedding.table", "wte.weight"},
                                                 {"weight", "h.weight"},
                                                 {"gain", "ln.weight"},
                                                 {"head.weight", "lm_head.weight"}};
  const auto by_name = [&](const std::string& path) { return names.at(path); };
  auto loaded = red_toy<float>::make(small, 2);
  fw::load_model(folder.path("model"), loaded, {.name = by_name, .weights = fw::weight_layout::out_by_in});
  CHECK(numbers(loaded) == numbers(saved));
  CHECK(refusal([&] { fw::load_model(folder.path("model"), loaded, {.name = by_name}); }) ==
        "tensor \"h.weight\" for weight is (8 × 4); needs (4 × 8)");
}

TEST_CASE("Every truncation of a model file is one clear error and leaves the model as it was") {
  const scratch_folder folder;
  fw::save_model(folder.path("model"), red_toy<float>::make({.vocab = 3, .width = 1}, 1));
  const std::string whole = folder.content("model");
  auto model = red_toy<float>::make({.vocab = 3, .width = 1}, 2);
  const auto before = numbers(model);
  for (std::size_t length = 0; length < whole.size(); ++length) {
    CAPTURE(length);
    REQUIRE_THAT(refusal([&] { fw::load_model(folder.write("cut", whole.substr(0, length)), model); }),
                 ContainsSubstring("empty") || ContainsSubstring("at least 10") || ContainsSubstring("cut short"));
  }
  CHECK(numbers(model) == before);
}

TEST_CASE("Every flipped bit of a checkpoint's header is one clear error, or changes nothing that is loaded") {
  const scratch_folder folder;
  const fw::sizes tiny{.vocab = 3, .width = 1};
  auto saved = red_toy<float>::make(tiny, 1), model = red_toy<float>::make(tiny, 2);
  const auto untouched = model;
  auto saved_optimizer = fw::optimizer(fw::otherwise(fw::adamw{})),
       optimizer = fw::optimizer(fw::otherwise(fw::adamw{}));
  const run_state saved_state{.step = 3, .losses = {1, 2}};
  run_state state;
  fw::save_checkpoint(folder.path("run"), saved, saved_optimizer, saved_state);
  const std::string whole = folder.content("run");
  const auto open = [](const std::string& bytes) { return fw::safetensors_file::of(std::as_bytes(std::span(bytes))); };
  const auto names = [](const fw::safetensors_file& file) {
    std::vector<std::string> all;
    for (const auto& one : file.entries()) all.push_back(one.name);
    return all;
  };
  const auto original = names(open(whole));
  const std::size_t header = whole.size() - static_cast<std::size_t>(open(whole).entries().back().end);
  const auto expected = numbers(saved), before = numbers(model);
  int taken = 0, refused = 0;
  for (std::size_t bit = 0; bit < 8 * header; ++bit) {
    std::string flipped = whole;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ 1 << bit % 8);
    const std::string said = refusal([&] { fw::load_checkpoint(open(flipped), model, optimizer, state); });
    CAPTURE(bit, said);
    if (said == "nothing was refused") {
      REQUIRE((numbers(model) == expected && state.step == 3 && state.losses == saved_state.losses));
      REQUIRE(names(open(flipped)) == original);
      model = untouched;
      state = {};
      ++taken;
    } else {
      REQUIRE((numbers(model) == before && state.step == 0 && state.losses.empty()));
      ++refused;
    }
    const bool loads = refusal([&] { fw::load_model(open(flipped), model); }) == "nothing was refused";
    REQUIRE((numbers(model) == (loads ? expected : before)));
    if (loads) model = untouched;
  }
  CHECK(taken > 100);  // in what describes the build that saved it
  CHECK(refused > 10 * taken);
}

TEST_CASE("A changed exponent of any weight is found by the self-test") {
  const scratch_folder folder;
  const auto saved = red_toy<float>::make(small, 1);
  fw::save_model(folder.path("model"), saved);
  const std::string whole = folder.content("model");
  const auto file = fw::safetensors_file::read(folder.path("model"));
  const std::size_t data = whole.size() - static_cast<std::size_t>(file.entries().back().end);
  auto model = red_toy<float>::make(small, 2);
  const auto& weight = file.entry("weight");
  for (std::size_t at = weight.begin + 3; at < weight.end; at += 4) {
    std::string bad = whole;
    bad[data + at] = static_cast<char>(bad[data + at] ^ 0x40);
    CAPTURE(at);
    REQUIRE_THAT(refusal([&] { fw::load_model(folder.write("bad", bad), model); }), StartsWith("fails its self-test"));
  }
}

TEST_CASE("A checkpoint restores model, optimizer and the run's own values, and is a model file too") {
  const scratch_folder folder;
  const auto train = [](auto& model, auto& optimizer, run_state& state) {
    fw::for_each_parameter(model, [&](auto& p) {
      using S = typename std::remove_cvref_t<decltype(p)>::scalar;
      p.address()->gradient.accumulate(p.rows(), p.cols(),
                                       [&](fw::view<S> g, fw::start) { state.data.fill_normal(g, 1); });
    });
    optimizer.step(model, 0.5);
    state.losses.push_back(state.data.uniform());
    ++state.step;
  };
  auto model = red_toy<float>::make(small, 1);
  auto optimizer = fw::optimizer(fw::otherwise(fw::adamw{}));
  run_state state;
  for (int i = 0; i < 3; ++i) train(model, optimizer, state);
  fw::save_checkpoint(folder.path("run"), model, optimizer, state);

  auto other = red_toy<float>::make(small, 2);
  auto other_optimizer = fw::optimizer(fw::otherwise(fw::adamw{}));
  run_state other_state{.step = 99, .losses = {1, 2, 3, 4, 5}};
  run_state only_state;
  fw::load_state(folder.path("run"), only_state);
  CHECK((only_state.step == 3 && only_state.losses == state.losses && only_state.data.save() == state.data.save()));
  fw::load_checkpoint(folder.path("run"), other, other_optimizer, other_state);
  CHECK(other_state.step == 3);
  CHECK(other_optimizer.steps() == 3);
  for (int i = 0; i < 3; ++i) train(model, optimizer, state), train(other, other_optimizer, other_state);
  CHECK(numbers(other) == numbers(model));
  CHECK(other_state.losses == state.losses);

  auto third = red_toy<float>::make(small, 3);
  fw::load_model(folder.path("run"), third);
  CHECK(numbers(third) != numbers(model));
  fw::save_checkpoint(folder.path("run"), model, optimizer, state);
  fw::load_model(folder.path("run"), third);
  CHECK(numbers(third) == numbers(model));
}

TEST_CASE("A checkpoint that does not fit leaves model, optimizer and values as they were") {
  const scratch_folder folder;
  auto model = red_toy<float>::make(small, 1);
  auto optimizer = fw::optimizer(fw::otherwise(fw::adamw{}));
  run_state state{.step = 5};
  const auto before = numbers(model);
  const auto load = [&] { return refusal([&] { fw::load_checkpoint(folder.path("run"), model, optimizer, state); }); };
  fw::save_model(folder.path("run"), model);
  CHECK(load() == "is no checkpoint of a training run; needs a file of save_checkpoint");
  CHECK(refusal([&] { fw::load_state(folder.path("run"), state); }) ==
        "is no checkpoint of a training run; needs a file of save_checkpoint");
  auto blue_model = toy<float, blue>::make(small, 2);
  auto other_optimizer = fw::optimizer(fw::otherwise(fw::adamw{}));
  fw::save_checkpoint(folder.path("run"), blue_model, other_optimizer, run_state{});
  CHECK_THAT(load(), StartsWith("is another model: it has blue where this model has red"));
  auto red_model = red_toy<float>::make(small, 2);
  auto stateless = fw::optimizer(fw::otherwise(plain_descent{}));
  auto red_optimizer = fw::optimizer(fw::otherwise(fw::adamw{}));
  fw::save_checkpoint(folder.path("run"), red_model, red_optimizer, state.data);
  CHECK_THAT(load(), StartsWith("has no tensor \"formwork.state.step\""));
  auto sgd = fw::optimizer(fw::otherwise(fw::sgd{}));
  fw::save_checkpoint(folder.path("run"), red_model, sgd, run_state{});
  CHECK_THAT(load(), StartsWith("has no tensor \"formwork.optimizer.embedding.table.first\""));
  auto mixed = fw::optimizer(fw::when(fw::role::gain, fw::sgd{}), fw::otherwise(fw::adamw{}));
  fw::save_checkpoint(folder.path("run"), red_model, mixed, run_state{});
  CHECK_THAT(load(), StartsWith("has no tensor \"formwork.optimizer.gain.first\""));
  fw::save_checkpoint(folder.path("run"), red_model, red_optimizer, run_state{});
  CHECK_THAT(refusal([&] { fw::load_checkpoint(folder.path("run"), model, stateless, state); }),
             StartsWith("has a tensor \"formwork.optimizer.embedding.table.first\" that the optimizer has no use for"));
  model.factor = 2;
  CHECK_THAT(load(), StartsWith("fails its self-test"));
  CHECK(numbers(model) == before);
  CHECK((state.step == 5 && optimizer.steps() == 0));
}
