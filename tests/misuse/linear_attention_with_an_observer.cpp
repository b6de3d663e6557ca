// SPDX-License-Identifier: MIT
// expect: formwork: linear attention takes a mask, a feature map and a rotary position; it has no scores
#include <formwork/attention.hpp>
#include <formwork/observer.hpp>

namespace fw = formwork;

#ifdef MISUSE
using chosen = fw::linear_attention<float, fw::causal, fw::row_entropy>;
#else
using chosen = fw::attention<float, fw::causal, fw::row_entropy>;
#endif
using parameters = decltype(chosen::fields(std::declval<chosen&>()));
