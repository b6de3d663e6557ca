// SPDX-License-Identifier: MIT
// expect: formwork: this slot was given twice; remove one of the policies
#include <formwork/attention.hpp>
#include <formwork/feedforward.hpp>
#include <formwork/model.hpp>
#include <formwork/position.hpp>

namespace fw = formwork;

using layer = fw::block<float, fw::attention<float, fw::causal, fw::rope<>>, fw::mlp<float>>;

#ifdef MISUSE
using chosen = fw::language_model<float, fw::learned<float>, layer, fw::sinusoidal>;
#else
using chosen = fw::language_model<float, fw::learned<float>, layer>;
#endif
using parameters = decltype(chosen::fields(std::declval<chosen&>()));
