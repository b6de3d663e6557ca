// SPDX-License-Identifier: MIT
// expect: formwork: linear attention has no scores that a position could be added to; use rope, or attention for this
#include <formwork/attention.hpp>
#include <formwork/position.hpp>

namespace fw = formwork;

#ifdef MISUSE
using chosen = fw::linear_attention<float, fw::causal, fw::t5<float>>;
#else
using chosen = fw::attention<float, fw::causal, fw::t5<float>>;
#endif
using parameters = decltype(chosen::fields(std::declval<chosen&>()));
