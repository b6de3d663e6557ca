// SPDX-License-Identifier: MIT
// expect: formwork: linear attention needs a mask; state causal or full
#include <formwork/attention.hpp>
#include <formwork/feature.hpp>

namespace fw = formwork;

#ifdef MISUSE
using chosen = fw::linear_attention<float, fw::elu_plus_one>;
#else
using chosen = fw::linear_attention<float, fw::elu_plus_one, fw::causal>;
#endif
using parameters = decltype(chosen::fields(std::declval<chosen&>()));
