// SPDX-License-Identifier: MIT
// expect: formwork: attention takes a mask, a position, a scale, a score, a heads and a weights policy
#include <formwork/activation.hpp>
#include <formwork/attention.hpp>

namespace fw = formwork;

#ifdef MISUSE
using chosen = fw::attention<float, fw::causal, fw::gelu>;
#else
using chosen = fw::attention<float, fw::causal>;
#endif
using parameters = decltype(chosen::fields(std::declval<chosen&>()));
