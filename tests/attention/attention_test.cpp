// SPDX-License-Identifier: MIT
#include <formwork/attention.hpp>
#include <formwork/heads.hpp>
#include <formwork/mask.hpp>
#include <formwork/position.hpp>
#include <formwork/score.hpp>

#include "laws/mixer_laws.hpp"

namespace fw = formwork;

template <class S>
using rotary = fw::attention<S, fw::causal, fw::rope<>>;
template <class S>
using capped = fw::attention<S, fw::softcap, fw::rope<fw::pairing::interleaved>, fw::causal, fw::grouped>;

static_assert(fw::mixer<rotary<float>> && fw::mixer<capped<double>>);

namespace {
const fw::sizes equal{.width = 24, .heads = 3};
const fw::sizes unequal{.width = 20, .heads = 4, .key_heads = 2, .key_width = 6, .head_width = 7, .bias = fw::biases::all};
}  // namespace

TEST_CASE("attention: a sequence has the same bits alone and in a ragged batch") {
  laws::alone_as_in_a_batch<rotary<float>>(equal);
  laws::alone_as_in_a_batch<capped<float>>(unequal);
  laws::alone_as_in_a_batch<capped<double>>(unequal);
}

TEST_CASE("attention: prefill in any split, then steps, equals the parallel form") {
  laws::any_split_equals_the_parallel_form<rotary<float>>(equal);
  laws::any_split_equals_the_parallel_form<capped<float>>(unequal);
}

TEST_CASE("attention: nothing sees the future") {
  laws::nothing_sees_the_future<rotary<float>>(equal);
  laws::nothing_sees_the_future<capped<double>>(unequal);
}

TEST_CASE("attention: gradients match central differences") {
  laws::gradients_are_right<rotary<double>>(equal);
  laws::gradients_are_right<capped<double>>(unequal);
  laws::gradients_are_right<fw::attention<double, fw::full, fw::grouped>>(unequal);
}

TEST_CASE("attention: a layer that moves before the backward pass still gets its gradients") {
  laws::a_moved_layer_gets_its_gradients<rotary<double>>(equal);
  laws::a_moved_layer_gets_its_gradients<capped<float>>(unequal);
}

TEST_CASE("attention: sizes and shapes that do not fit are refused with a remedy") {
  fw::rng random{1};
  CHECK_THROWS_WITH(rotary<float>::make(fw::builder{.sizes = {.width = 24, .heads = 5}, .random = random}),
                    ContainsSubstring("width 24 is not divisible by heads 5"));
  CHECK_THROWS_WITH(capped<float>::make(fw::builder{.sizes = {.width = 24, .heads = 4, .key_heads = 3}, .random = random}),
                    ContainsSubstring("heads 4 is not divisible by key_heads 3"));
  CHECK_THROWS_WITH(rotary<float>::make(fw::builder{.sizes = {.width = 24, .heads = 4, .key_heads = 2}, .random = random}),
                    ContainsSubstring("4 heads on 2 key heads share keys; give attention the heads policy grouped"));
  laws::wrong_calls_are_refused<rotary<float>>("attention", equal);
  const auto a = laws::make_mixer<rotary<float>>(equal);
  auto state = a.make_state({.sequences = 1, .capacity = 2});
  fw::tape<float> quiet{fw::recording::off};
  CHECK_THROWS_WITH(a(quiet.constant(fw::matrix<float>(3, 24, 1.f)), state), ContainsSubstring("larger capacity"));
}
