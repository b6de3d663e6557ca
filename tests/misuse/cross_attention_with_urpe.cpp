// SPDX-License-Identifier: MIT
// expect: formwork: these weights depend on the distance of query and key, but places of two texts are not comparable
#include <formwork/attention.hpp>
#include <formwork/weights.hpp>

namespace fw = formwork;

#ifdef MISUSE
using chosen = fw::cross_attention<float, fw::urpe<float>>;
#else
using chosen = fw::cross_attention<float, fw::relu_squared>;
#endif
using parameters = decltype(chosen::fields(std::declval<chosen&>()));
