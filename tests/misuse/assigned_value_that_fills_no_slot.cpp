// SPDX-License-Identifier: MIT
// expect: formwork: assign() was given a value that fills no slot of this module
#include <formwork/attention.hpp>
#include <formwork/feedforward.hpp>
#include <formwork/model.hpp>
#include <formwork/position.hpp>
#include <formwork/tape.hpp>

namespace fw = formwork;

using layer = fw::block<float, fw::attention<float, fw::causal, fw::rope<>>, fw::mlp<float>>;
using model = fw::language_model<float, layer, fw::learned<float>>;

#ifdef MISUSE
void change(model& m) { fw::assign(m, fw::learned<float>{.longest = 5}); }
#else
void change(model& m) { fw::assign(m, fw::rope<>{.base = 500}); }
#endif
