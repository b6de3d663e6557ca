// SPDX-License-Identifier: MIT
// expect: formwork: make() was given a value that fills no slot of this composition
#include <formwork/attention.hpp>
#include <formwork/feedforward.hpp>
#include <formwork/model.hpp>
#include <formwork/position.hpp>
#include <formwork/score.hpp>

namespace fw = formwork;

#ifdef MISUSE
using attention = fw::attention<float, fw::causal>;
#else
using attention = fw::attention<float, fw::causal, fw::softcap>;
#endif
using model = fw::language_model<float, fw::block<float, attention, fw::mlp<float>>>;

model made(fw::rng& random) { return model::make({.vocab = 16}, random, fw::softcap{.cap = 20}); }
