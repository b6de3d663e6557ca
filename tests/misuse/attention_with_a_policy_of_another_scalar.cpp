// SPDX-License-Identifier: MIT
// expect: formwork: a policy that learns has its own scalar; give it that of the attention
#include <formwork/attention.hpp>
#include <formwork/scale.hpp>

namespace fw = formwork;

#ifdef MISUSE
using chosen = fw::attention<float, fw::causal, fw::temperature<double>>;
#else
using chosen = fw::attention<float, fw::causal, fw::temperature<float>>;
#endif
using parameters = decltype(chosen::fields(std::declval<chosen&>()));
