// SPDX-License-Identifier: MIT
// expect: formwork: this feature map holds numbers of another scalar type than its linear attention; give both the same
#include <formwork/attention.hpp>
#include <formwork/feature.hpp>

namespace fw = formwork;

#ifdef MISUSE
using chosen = fw::linear_attention<float, fw::causal, fw::favor<double>>;
#else
using chosen = fw::linear_attention<float, fw::causal, fw::favor<float>>;
#endif
using parameters = decltype(chosen::fields(std::declval<chosen&>()));
