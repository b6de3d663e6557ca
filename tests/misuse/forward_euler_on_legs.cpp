// SPDX-License-Identifier: MIT
// expect: formwork: forward_euler on legs passes a float's range; use bilinear, backward_euler or zero_order_hold
#include <formwork/ssm.hpp>

namespace fw = formwork;

#ifdef MISUSE
using chosen = fw::hippo<float, fw::legs, fw::forward_euler>;
#else
using chosen = fw::hippo<float, fw::legs, fw::backward_euler>;
#endif

fw::var<float> mix(const chosen& h, const fw::var<float>& x) { return h(x); }
