// SPDX-License-Identifier: MIT
// expect: formwork: a query sees two ranges of keys at most; one mask of both has to show one range
#include <formwork/mask.hpp>

namespace fw = formwork;

#ifdef MISUSE
using chosen = fw::both<fw::sink_window, fw::sink_window>;
#else
using chosen = fw::both<fw::sink_window, fw::sliding_window>;
#endif
static_assert(fw::mask_policy<chosen>);
