// SPDX-License-Identifier: MIT
// Positions of whole models: absolute ones in the model, tables of a trained model that change.
#include <formwork/io/checkpoint.hpp>

#include "io/scratch_folder.hpp"
#include "model/small_models.hpp"
#include "support/catch.hpp"

using namespace small;

namespace {

using learned = fw::learned<float>;
constexpr fw::recording off = fw::recording::off;

const fw::rope<> slower{.inverse_frequencies = {.formula = fw::ntk_mixed, .extension = 8}};
const fw::rope<> dynamic{.inverse_frequencies = {.formula = fw::dynamic, .training_length = 8}};

/// The scores after each of the last tokens, fed one by one.
template <class Model>
std::vector<fw::matrix<float>> steps(const Model& model, typename Model::state& state, Index first, Index count) {
  fw::tape<float> quiet{off};
  std::vector<fw::matrix<float>> scores;
  for (Index i = first; i < first + count; ++i) scores.push_back(model(quiet, fw::tokens{i % 31}, state).last());
  return scores;
}
template <class Model>
fw::matrix<float> whole(const Model& model, Index count, Index declared = 0) {
  fw::tape<float> quiet{off};
  std::vector<Index> ids;
  for (Index i = 0; i < count; ++i) ids.push_back(i % 31);
  fw::tokens x(ids);
  x.batch.declare(declared);
  return fw::matrix<float>(model(quiet, x).value().value());
}

}  // namespace

TEST_CASE("a model's absolute position is part of its type, in any order, and of its parameters where it learns") {
  using layer = fw::block<float, fw::attention<float, fw::causal>, fw::mlp<float>>;
  STATIC_REQUIRE(std::same_as<fw::language_model<float, layer>::position_type, fw::no_position>);
  STATIC_REQUIRE(std::same_as<fw::language_model<float, layer, learned>::position_type, learned>);
  STATIC_REQUIRE(std::same_as<fw::language_model<float, learned, layer>::stack_type, fw::stack<float, layer>>);
  STATIC_REQUIRE(std::same_as<fw::language_model<float, layer, learned, gated<float>::first_layer>::stack_type,
                              fw::stack<float, layer, gated<float>::first_layer>>);

  const auto names = [](const auto& model) {
    std::vector<std::string> all;
    fw::for_each_named_parameter(model, [&](const std::string& path, const auto&) { all.push_back(path); });
    return all;
  };
  const auto model = make_placed<float>(learned{.longest = 12});
  CHECK(fw::shape_text(model.position.table) == "(12 × 24)");
  CHECK(names(model)[1] == "position.table");
  CHECK(names(make_placed<float>(fw::sinusoidal{}))[1] == "layers.0.norm1.gain");
  CHECK(make_placed<float>(fw::sinusoidal{.base = 1000}).position.base == 1000);
  CHECK(fw::type_text<decltype(model)>().find("language_model<float, learned<float>, block<") == 0);
}

TEST_CASE("a learned table is saved and loaded with its model, and another number of positions is refused") {
  const scratch_folder folder;
  const auto saved = make_placed<float>(learned{.longest = 12}, 5);
  fw::save_model(folder.path("model"), saved);
  auto loaded = make_placed<float>(learned{.longest = 12}, 6);
  fw::load_model(folder.path("model"), loaded);
  CHECK(same_bits(loaded.position.table.value(), saved.position.table.value()));
  CHECK(same_bits(whole(loaded, 12), whole(saved, 12)));
  auto longer = make_placed<float>(learned{.longest = 13});
  CHECK_THROWS_WITH(fw::load_model(folder.path("model"), longer), ContainsSubstring("position.table"));
  auto sinusoidal = make_placed<float>(fw::sinusoidal{});
  CHECK_THROWS_WITH(fw::load_model(folder.path("model"), sinusoidal),
                    ContainsSubstring("it has learned where this model has sinusoidal"));
}

TEST_CASE("tokens that do not fit a state are refused before anything changes") {
  const auto model = make_placed<float>(learned{.longest = 6});
  auto state = model.make_state({.sequences = 1, .capacity = 8}), same = state;
  fw::tape<float> quiet{off};
  steps(model, state, 0, 5), steps(model, same, 0, 5);
  CHECK_THROWS_WITH(model(quiet, fw::tokens{1, 2, 3, 4}, state),
                    ContainsSubstring("language_model: sequence 0 holds 5 tokens and 4"));
  CHECK_THROWS_WITH(model(quiet, fw::tokens{1, 2}, state), ContainsSubstring("reaches position 6 but the table ends at 5"));
  CHECK_THROWS_WITH(model(quiet, fw::tokens{31}, state), ContainsSubstring("id 31"));
  CHECK_THROWS_WITH(model(quiet, fw::tokens({1, 2}, {1, 1}), state), ContainsSubstring("2 sequences but the state has 1"));
  fw::tokens declared{1};
  declared.batch.declare(64);
  CHECK_THROWS_WITH(model(quiet, declared, state), ContainsSubstring("needs turn_again"));
  CHECK_THROWS_WITH(model(quiet, fw::tokens{1, 2, 3, 4, 5, 6, 7}), ContainsSubstring("reaches position 6"));
  CHECK(state.seen.length(0) == 5);
  CHECK(same_bits(steps(model, state, 5, 1)[0], steps(model, same, 5, 1)[0]));
}

TEST_CASE("assign changes every layer of a trained model, and a recording in flight is not disturbed") {
  auto model = make_gated<float>();
  const auto before = whole(model, 20);
  fw::assign(model, slower);
  for (const auto& one : model.layers) CHECK(std::get<0>(one).mix.position == slower);
  fw::rng random{3};
  const auto made = gated<float>::make(model.sizes, random, slower);
  CHECK(same_bits(whole(model, 20), whole(made, 20)));
  CHECK_FALSE(same_bits(whole(model, 20), before));
  fw::assign(model, fw::rope<>{});
  CHECK(same_bits(whole(model, 20), before));

  auto absolute = make_placed<float>(fw::sinusoidal{});
  fw::assign(absolute, fw::sinusoidal{.base = 1000});
  CHECK(same_bits(whole(absolute, 20), whole(make_placed<float>(fw::sinusoidal{.base = 1000}), 20)));
}

TEST_CASE("a dynamic table follows the declared length of a batch, a state and a generation, and nothing else") {
  auto model = make_gated<float>();
  const auto plain = whole(model, 40);
  fw::assign(model, dynamic);
  CHECK(same_bits(whole(model, 40), plain));
  CHECK(same_bits(whole(model, 40, 8), plain));
  const auto longer = whole(model, 40, 64);
  CHECK_FALSE(same_bits(longer, plain));
  auto state = model.make_state({.sequences = 1, .capacity = 40, .length = 64});
  const auto one_by_one = steps(model, state, 0, 40);
  for (Index i = 0; i < 40; ++i) CHECK(same_bits(one_by_one[static_cast<std::size_t>(i)], longer.rows(i, 1)));

  const auto drawn = [&](Index length) {
    fw::rng random{1};
    const std::vector<Index> prompt{1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
    return fw::generate(model, prompt, fw::sampler{.temperature = 1}, random, {.count = 60, .length = length});
  };
  CHECK(drawn(0) == drawn(8));
  CHECK(drawn(0) != drawn(2000));
}

TEST_CASE("a model of one layer whose keys are turned again has the bits of a state that began with the new table") {
  const auto check = [](auto change, Index length) {
    fw::rng random{3};
    auto model = gated<float>::make({.vocab = 31, .width = 24, .depth = 1, .heads = 3, .hidden = 40}, random, dynamic);
    auto state = model.make_state({.sequences = 1, .capacity = 500, .length = 16});
    steps(model, state, 0, 400);
    change(model);
    model.turn_again(state, length);
    auto fresh = model.make_state({.sequences = 1, .capacity = 500, .length = length});
    steps(model, fresh, 0, 400);
    const auto again = steps(model, state, 400, 3), expected = steps(model, fresh, 400, 3);
    for (std::size_t i = 0; i < 3; ++i) CHECK(same_bits(again[i], expected[i]));
  };
  check([](auto&) {}, 500);
  check([](auto& model) { fw::assign(model, slower); }, 16);
}
