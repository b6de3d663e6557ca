// SPDX-License-Identifier: MIT
// expect: formwork: linear attention turns the features of queries and keys alike; use rope, or attention for this position
#include <formwork/attention.hpp>
#include <formwork/position.hpp>

namespace fw = formwork;

#ifdef MISUSE
using chosen = fw::linear_attention<float, fw::causal, fw::leaky_re_rope<>>;
#else
using chosen = fw::linear_attention<float, fw::causal, fw::rope<>>;
#endif
using parameters = decltype(chosen::fields(std::declval<chosen&>()));
