// SPDX-License-Identifier: MIT
// expect: formwork: a model takes layers and an absolute position; give any other policy to a layer
#include <formwork/attention.hpp>
#include <formwork/feedforward.hpp>
#include <formwork/model.hpp>
#include <formwork/position.hpp>

namespace fw = formwork;

using layer = fw::block<float, fw::attention<float, fw::causal, fw::rope<>>, fw::mlp<float>>;

#ifdef MISUSE
using chosen = fw::language_model<float, layer, fw::causal>;
#else
using chosen = fw::language_model<float, layer>;
#endif
using parameters = decltype(chosen::fields(std::declval<chosen&>()));
