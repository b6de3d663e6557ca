// SPDX-License-Identifier: MIT
// expect: formwork: cross attention takes no position, as places of two texts are not comparable
#include <formwork/attention.hpp>
#include <formwork/position.hpp>

namespace fw = formwork;

#ifdef MISUSE
using chosen = fw::cross_attention<float, fw::rope<>>;
#else
using chosen = fw::cross_attention<float>;
#endif
using parameters = decltype(chosen::fields(std::declval<chosen&>()));
