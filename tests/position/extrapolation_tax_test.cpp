// SPDX-License-Identifier: MIT
// The extrapolation tax is what a scheme for long texts costs on texts as short as in training. One is free of it if up to the
// training length whole layers give the bits that plain rope gives them (kexue.fm/archives/9706, 9708 and 9948).
#include <formwork/attention.hpp>
#include <formwork/mask.hpp>
#include <formwork/position.hpp>
#include <formwork/scale.hpp>

#include <algorithm>
#include <limits>

#include "laws/mixer_laws.hpp"

namespace fw = formwork;
using fw::Index;

namespace {

constexpr Index trained = 400;  // more than a block of keys
const fw::sizes sizes{.width = 24, .heads = 3};
constexpr double infinite = std::numeric_limits<double>::infinity();

using by_rope = fw::attention<float, fw::causal, fw::rope<>>;
using by_leaky_re_rope = fw::attention<float, fw::causal, fw::leaky_re_rope<>>;
using by_log_n = fw::attention<float, fw::causal, fw::rope<>, fw::log_n>;
using by_both = fw::attention<float, fw::causal, fw::leaky_re_rope<>, fw::log_n>;

/// A layer with the weights of any other here.
template <class Layer, class... Value>
Layer layer(const Value&... value) {
  auto m = laws::make_mixer<Layer>(sizes);
  (fw::assign(m, value), ...);
  return m;
}

/// A text of so many tokens, read whole.
template <class Layer>
fw::matrix<float> parallel(const Layer& m, Index length, Index declared) {
  fw::sequences rows{length};
  rows.declare(declared);
  fw::tape<float> quiet{fw::recording::off};
  return fw::matrix<float>(m(quiet.constant(laws::normal_matrix<float>(length, sizes.width, 1), rows)).value());
}

/// The same as a prompt of half of it and token after token.
template <class Layer>
fw::matrix<float> incremental(const Layer& m, Index length, Index declared) {
  const auto x = laws::normal_matrix<float>(length, sizes.width, 1);
  auto state = m.make_state({.sequences = 1, .capacity = 2 * trained, .length = declared});
  fw::tape<float> quiet{fw::recording::off};
  fw::matrix<float> y(length, sizes.width);
  for (Index done = 0, next = 0; done < length; done += next) {
    next = done == 0 ? (length + 1) / 2 : 1;
    const auto part = m(quiet.constant(fw::matrix<float>(x.rows(done, next))), state);
    for (Index i = 0; i < next; ++i) std::copy_n(part.value().row(i), sizes.width, y.row(done + i));
  }
  return y;
}

/// Whether a text of that length gets the bits that it gets by plain rope. Both forms have to say the same.
template <class Layer>
bool as_by_rope(const Layer& m, Index length, Index declared) {
  const auto rope = layer<by_rope>();
  const bool whole = laws::same_bits(parallel(m, length, declared), parallel(rope, length, 0));
  CHECK(laws::same_bits(incremental(m, length, declared), incremental(rope, length, 0)) == whole);
  return whole;
}

/// No tax: nothing changes up to the training length, yet something does beyond it.
template <class Layer>
void is_free(const Layer& m, Index declared = 0) {
  for (const Index length : {Index(1), Index(2), Index(33), trained - 1, trained}) {
    CAPTURE(length);
    CHECK(as_by_rope(m, length, declared));
  }
  CHECK_FALSE(as_by_rope(m, trained + 20, declared > 0 ? trained + 20 : 0));
}
template <class Layer>
void is_taxed(const Layer& m, Index declared = 0) {
  for (const Index length : {Index(33), trained}) {
    CAPTURE(length);
    CHECK_FALSE(as_by_rope(m, length, declared));
  }
}

fw::rope<> extended(double (*formula)(const fw::frequency_site&), double extension = 8) {
  return {.inverse_frequencies = {.formula = formula, .extension = extension, .training_length = trained}};
}

}  // namespace

TEST_CASE("re_rope and leaky_re_rope are free of tax if no text of training is longer than the window") {
  is_free(layer<by_leaky_re_rope>(fw::re_rope(trained)));
  is_free(layer<by_leaky_re_rope>(fw::leaky_re_rope<>{.window = trained, .step = 16}));
  is_taxed(layer<by_leaky_re_rope>(fw::re_rope(16)));
  is_taxed(layer<by_leaky_re_rope>(fw::leaky_re_rope<>{.window = 16, .step = 16}));
}

TEST_CASE("re_rope with a smaller window taxes no text that fits into it") {
  const auto m = layer<by_leaky_re_rope>(fw::re_rope(trained / 4));
  CHECK(as_by_rope(m, trained / 4, 0));
  CHECK_FALSE(as_by_rope(m, trained / 4 + 2, 0));  // one pair is a place too far apart
}

TEST_CASE("log_n is free of tax if it is at least 1 and its base the training length") {
  const auto length = static_cast<double>(trained);
  is_free(layer<by_log_n>(fw::log_n{.base = length, .at_least = 1}));
  is_taxed(layer<by_log_n>(fw::log_n{.base = length}));
  is_taxed(layer<by_log_n>(fw::log_n{.base = 16, .at_least = 1}));
  is_taxed(layer<by_log_n>(fw::log_n{.base = length, .at_least = 1.01}));
  for (const Index n : {Index(33), trained, 2 * trained})  // without a base it is 1/√d
    CHECK(as_by_rope(layer<by_log_n>(fw::log_n{.base = infinite, .at_least = 1}), n, 0));
}

TEST_CASE("schemes free of tax are free together") {
  is_free(layer<by_both>(fw::re_rope(trained), fw::log_n{.base = static_cast<double>(trained), .at_least = 1}));
  is_free(layer<by_both>(fw::leaky_re_rope<>{.window = trained, .turn = extended(fw::dynamic)},
                         fw::log_n{.base = static_cast<double>(trained), .at_least = 1}),
          trained);
}

TEST_CASE("dynamic ntk is free of tax for texts that are declared no longer than in training") {
  const auto m = layer<by_rope>(extended(fw::dynamic));
  is_free(m, trained);
  is_taxed(m, trained + 1);
  is_taxed(m, 8 * trained);
}

TEST_CASE("tables that stand once and for all are taxed") {
  for (auto* formula : {fw::interpolated, fw::ntk_old, fw::ntk_aware, fw::ntk_fixed, fw::ntk_mixed, fw::ntk_by_parts,
                        fw::ntk_by_parts_in_code, fw::llama3})
    is_taxed(layer<by_rope>(extended(formula)));
  is_taxed(layer<by_rope>(fw::rope{.inverse_frequencies = fw::yarn(8, trained)}));
  is_taxed(layer<by_rope>(fw::rope{.inverse_frequencies = fw::yarn(8, trained, fw::ntk_by_parts_in_code)}));
  is_taxed(layer<by_rope>(fw::rope{.inverse_frequencies = fw::yarn(8, trained, fw::geometric)}));  // its factor alone
}
