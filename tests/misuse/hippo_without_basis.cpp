// SPDX-License-Identifier: MIT
// expect: formwork: hippo needs a basis; state legs, legt, lagt, fourier or one of your own
#include <formwork/ssm.hpp>

namespace fw = formwork;

#ifdef MISUSE
using chosen = fw::hippo<float, fw::bilinear>;
#else
using chosen = fw::hippo<float, fw::bilinear, fw::legt>;
#endif

fw::var<float> mix(const chosen& h, const fw::var<float>& x) { return h(x); }
