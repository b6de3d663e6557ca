// SPDX-License-Identifier: MIT
// expect: formwork: this mask lets a query see later keys, so there is no incremental form
#include <formwork/attention.hpp>
#include <formwork/mask.hpp>

namespace fw = formwork;

#ifdef MISUSE
using chosen = fw::linear_attention<float, fw::full>;
#else
using chosen = fw::linear_attention<float, fw::causal>;
#endif

fw::var<float> step(const chosen& a, const fw::var<float>& x, chosen::state& seen) { return a(x, seen); }
