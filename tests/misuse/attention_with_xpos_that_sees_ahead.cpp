// SPDX-License-Identifier: MIT
// expect: formwork: this position makes scores grow without bound towards later keys; use it with a mask that does not see
#include <formwork/attention.hpp>
#include <formwork/mask.hpp>
#include <formwork/position.hpp>

namespace fw = formwork;

#ifdef MISUSE
using chosen = fw::attention<float, fw::full, fw::xpos<>>;
#else
using chosen = fw::attention<float, fw::causal, fw::xpos<>>;
#endif
using parameters = decltype(chosen::fields(std::declval<chosen&>()));
