// SPDX-License-Identifier: MIT
// expect: formwork: this slot was given twice; remove one of the policies
#include <formwork/attention.hpp>
#include <formwork/position.hpp>

namespace fw = formwork;

#ifdef MISUSE
using chosen = fw::attention<float, fw::rope<>, fw::causal, fw::rope<fw::pairing::interleaved>>;
#else
using chosen = fw::attention<float, fw::rope<>, fw::causal>;
#endif
using parameters = decltype(chosen::fields(std::declval<chosen&>()));
