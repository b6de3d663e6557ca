// SPDX-License-Identifier: MIT
#include <formwork/attention.hpp>
#include <formwork/mask.hpp>
#include <formwork/position.hpp>

#include <thread>

#include "laws/mixer_laws.hpp"

namespace fw = formwork;
using fw::Index;
using laws::same_bits;

namespace {

template <class S>
using rotary = fw::attention<S, fw::causal, fw::rope<>>;
static_assert(fw::turns_again<rotary<float>>);

constexpr Index width = 24, longest = 400;  // more than one block of keys
const fw::sizes shape{.width = width, .heads = 3, .key_heads = 1, .key_width = 10, .head_width = 7};
const std::vector<Index> lengths{longest, 1, 30};

const fw::rope<> fixed{.inverse_frequencies = {.formula = fw::ntk_fixed, .extension = 8}};
const fw::rope<> dynamic{.inverse_frequencies = {.formula = fw::dynamic, .extension = 2, .training_length = 64}};

fw::matrix<float> inputs() { return laws::normal_matrix<float>(longest + 31, width, 1); }

/// The first `some` rows of each sequence, or the rest.
enum class part { prefix, rest };
struct cut {
  fw::matrix<float> x;
  fw::sequences rows;

  cut(part which, Index some) {
    const auto all = inputs();
    const fw::sequences batch(lengths);
    std::vector<Index> counts;
    for (const Index n : lengths) counts.push_back(which == part::prefix ? std::min(n, some) : n - std::min(n, some));
    rows = fw::sequences(counts);
    x = fw::matrix<float>(rows.rows(), width);
    for (Index s = 0; s < batch.count(); ++s)
      for (Index i = 0; i < rows.length(s); ++i)
        std::copy_n(all.row(batch.first(s) + i + (which == part::rest ? batch.length(s) - rows.length(s) : 0)), width,
                    x.row(rows.first(s) + i));
  }
};

struct calls {
  const rotary<float>& layer;
  rotary<float>::state state;

  calls(const rotary<float>& a, Index length = 0)
      : layer(a), state(a.make_state({.sequences = 3, .capacity = longest, .length = length})) {}
  fw::matrix<float> operator()(const cut& next) {
    fw::tape<float> quiet{fw::recording::off};
    return fw::matrix<float>(layer(quiet.constant(fw::matrix<float>(next.x), next.rows), state).value());
  }
};

fw::matrix<float> parallel(const rotary<float>& layer, Index length) {
  fw::tape<float> quiet{fw::recording::off};
  fw::sequences rows(lengths);
  rows.declare(length);
  return fw::matrix<float>(layer(quiet.constant(inputs(), rows)).value());
}

}  // namespace

TEST_CASE("attention: a state keeps its table when the layer is given another, until its keys are turned again") {
  auto layer = laws::make_mixer<rotary<float>>(shape);
  const cut first(part::prefix, 390), rest(part::rest, 390);

  calls before(layer);
  before(first);
  const auto by_old_table = calls(before)(rest);
  fw::assign(layer, fixed);
  CHECK(same_bits(calls(before)(rest), by_old_table));

  calls fresh(layer);
  fresh(first);
  const auto by_new_table = fresh(rest);
  CHECK_FALSE(same_bits(by_new_table, by_old_table));
  layer.turn_again(before.state, 0);
  CHECK(same_bits(before(rest), by_new_table));
}

TEST_CASE("attention: keys turned again for another declared length have the bits of a state that began with it") {
  auto layer = laws::make_mixer<rotary<float>>(shape);
  fw::assign(layer, dynamic);
  const cut first(part::prefix, 70), rest(part::rest, 70);
  for (const Index length : {0, 64, 500}) {
    CAPTURE(length);
    calls grown(layer, 128), fresh(layer, length);
    grown(first), fresh(first);
    layer.turn_again(grown.state, length);
    CHECK(grown.state.length == length);
    CHECK(same_bits(grown(rest), fresh(rest)));
  }
}

TEST_CASE("attention: a dynamic table follows the declared length, alike in the parallel and the incremental form") {
  auto layer = laws::make_mixer<rotary<float>>(shape);
  const auto plain = parallel(layer, 0);
  fw::assign(layer, dynamic);
  CHECK(same_bits(parallel(layer, 0), plain));
  CHECK(same_bits(parallel(layer, 64), plain));
  const auto at_500 = parallel(layer, 500), at_128 = parallel(layer, 128);
  CHECK_FALSE(same_bits(at_500, plain));
  CHECK_FALSE(same_bits(at_500, at_128));

  for (const Index length : {64, 128, 500}) {
    calls whole(layer, length);
    const auto all = whole(cut(part::prefix, longest));
    CHECK(same_bits(all, length == 64 ? plain : length == 128 ? at_128 : at_500));
    calls split(layer, length);
    split(cut(part::prefix, 29));
    const cut rest(part::rest, 29);
    const auto tail = split(rest);
    CHECK(same_bits(tail.rows(0, longest - 29), all.rows(29, longest - 29)));
    CHECK(same_bits(tail.rows(longest - 29, 1), all.rows(longest + 30, 1)));
  }
}

TEST_CASE("attention: bits do not depend on which tables a layer made before, nor on the threads that ask") {
  auto layer = laws::make_mixer<rotary<float>>(shape);
  const auto plain = parallel(layer, 0);
  fw::assign(layer, dynamic);
  std::vector<fw::matrix<float>> alone;
  for (Index length = 100; length < 107; ++length) {
    auto other = laws::make_mixer<rotary<float>>(shape);
    fw::assign(other, dynamic);
    alone.push_back(parallel(other, length));
  }
  for (const Index step : {1, 2, 3, 6})
    for (Index i = 0; i < 7; ++i)
      CHECK(same_bits(parallel(layer, 100 + i * step % 7), alone[static_cast<std::size_t>(i * step % 7)]));
  fw::assign(layer, fw::rope<>{});
  CHECK(same_bits(parallel(layer, 500), plain));

  fw::assign(layer, dynamic);
  std::vector<fw::matrix<float>> got(7);
  std::vector<std::thread> asking;
  for (Index i = 0; i < 7; ++i)
    asking.emplace_back([&, i] { got[static_cast<std::size_t>(i)] = parallel(layer, 100 + i); });
  for (auto& one : asking) one.join();
  for (std::size_t i = 0; i < 7; ++i) CHECK(same_bits(got[i], alone[i]));
}

TEST_CASE("attention: a recording goes back by the table it went forward by") {
  auto layer = laws::make_mixer<rotary<double>>(shape);
  const auto gradient = [&](auto between) {
    fw::tape<double> t;
    const auto x = t.input(laws::normal_matrix<double>(9, width, 2));
    const auto y = layer(x);
    between();
    t.backward(fw::sum(fw::multiply(y, y)));
    return fw::matrix<double>(x.gradient());
  };
  const auto expected = gradient([] {});
  const auto another_table = [&] {
    fw::assign(layer, fixed);
    layer(fw::tape<double>{}.constant(fw::matrix<double>(20, width, 1.)));
  };
  CHECK(same_bits(gradient(another_table), expected));
}

TEST_CASE("attention: a call that declares another length than its state is refused and changes nothing") {
  const auto layer = laws::make_mixer<rotary<float>>(shape);
  calls c(layer, 128);
  cut first(part::prefix, 3);
  first.rows.declare(256);
  CHECK_THROWS_WITH(c(first), ContainsSubstring("the batch declares length 256 but the state 128; needs turn_again"));
  CHECK(c.state.cache.length(0) == 0);
  first.rows.declare(128);
  CHECK_NOTHROW(c(first));
  CHECK_THROWS_WITH(layer.turn_again(c.state, -1), ContainsSubstring("declared length is -1"));
  CHECK_THROWS_WITH(c.state.cache.replace_keys(fw::matrix<float>(2, 10)), ContainsSubstring("k is (2 × 10); needs (7 × 10)"));
  CHECK_THROWS_WITH(first.rows.declare(-1), ContainsSubstring("declared length is -1"));
}

TEST_CASE("attention: without positions nothing is kept beside the keys, and turning again changes nothing") {
  auto layer = laws::make_mixer<fw::attention<float, fw::causal>>(shape);
  auto state = layer.make_state({.sequences = 1, .capacity = 4});
  CHECK(state.unturned.capacity() == 0);
  CHECK_NOTHROW(layer.turn_again(state, 7));
  CHECK(state.length == 7);
}

TEST_CASE("attention without positions and with a full mask does not see the order of tokens") {
  const auto layer = laws::make_mixer<fw::attention<double, fw::full>>(shape);
  const auto x = laws::normal_matrix<double>(40, width, 5);
  fw::tape<double> quiet{fw::recording::off};
  const auto y = layer(quiet.constant(fw::matrix<double>(x)));
  fw::matrix<double> shuffled(40, width);
  for (Index i = 0; i < 40; ++i) std::copy_n(x.row(i * 7 % 40), width, shuffled.row(i));
  const auto z = layer(quiet.constant(std::move(shuffled)));
  for (Index i = 0; i < 40; ++i)
    for (Index j = 0; j < width; ++j) REQUIRE(std::abs(z.value()(i, j) - y.value()(i * 7 % 40, j)) <= 1e-13);
}
