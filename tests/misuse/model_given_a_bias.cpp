// SPDX-License-Identifier: MIT
// expect: formwork: this position adds to scores; give it to attention, not to the model
#include <formwork/attention.hpp>
#include <formwork/feedforward.hpp>
#include <formwork/model.hpp>
#include <formwork/position.hpp>

namespace fw = formwork;

using layer = fw::block<float, fw::attention<float, fw::causal, fw::t5<float>>, fw::mlp<float>>;

#ifdef MISUSE
using chosen = fw::language_model<float, layer, fw::t5<float>>;
#else
using chosen = fw::language_model<float, layer, fw::sinusoidal>;
#endif
using parameters = decltype(chosen::fields(std::declval<chosen&>()));
