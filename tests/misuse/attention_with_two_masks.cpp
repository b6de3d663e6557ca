// SPDX-License-Identifier: MIT
// expect: formwork: this slot was given twice; remove one of the policies
#include <formwork/attention.hpp>
#include <formwork/mask.hpp>

namespace fw = formwork;

#ifdef MISUSE
using chosen = fw::attention<float, fw::causal, fw::full>;
#else
using chosen = fw::attention<float, fw::full>;
#endif
using parameters = decltype(chosen::fields(std::declval<chosen&>()));
