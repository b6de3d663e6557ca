// SPDX-License-Identifier: MIT
// expect: this slot was given twice; remove one of the policies
#include <formwork/core/slot.hpp>

namespace fw = formwork;

struct narrow {
  using plugs_into = fw::slot::mask;
};
struct wide {
  using plugs_into = fw::slot::mask;
};

#ifdef MISUSE
using chosen = fw::pick_t<fw::slot::mask, void, narrow, wide>;
#else
using chosen = fw::pick_t<fw::slot::mask, void, narrow>;
#endif
static_assert(std::same_as<chosen, narrow>);
