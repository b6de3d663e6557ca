// SPDX-License-Identifier: MIT
// expect: formwork: this feature map normalises keys over their whole sequence, so a query would see later keys; use full
#include <formwork/attention.hpp>
#include <formwork/feature.hpp>
#include <formwork/mask.hpp>

namespace fw = formwork;

#ifdef MISUSE
using chosen = fw::linear_attention<float, fw::causal, fw::efficient>;
#else
using chosen = fw::linear_attention<float, fw::full, fw::efficient>;
#endif
using parameters = decltype(chosen::fields(std::declval<chosen&>()));
