// SPDX-License-Identifier: MIT
#include <formwork/mask.hpp>

#include "laws/mask_laws.hpp"

namespace fw = formwork;
using fw::Index;

TEST_CASE("both keeps the laws of masks") {
  laws::mask_laws(fw::both{fw::causal{}, fw::full{}});
  laws::mask_laws(fw::both{fw::sliding_window{5}, fw::sink_window{2, 9}});
  laws::mask_laws(fw::both{fw::sink_window{3, 6}, fw::prefix{10}});
  laws::mask_laws(fw::both{fw::both{fw::prefix{10}, fw::sliding_window{9}}, fw::full{}});
}

TEST_CASE("both shows what each of the two shows") {
  const fw::sliding_window window{6};
  const fw::sink_window sinks{2, 3};
  const fw::both mask{window, sinks};
  for (Index i = 0; i < 12; ++i)
    for (Index j = 0; j < 12; ++j) CHECK(mask.visible({i, 12}, j) == (window.visible({i, 12}, j) && sinks.visible({i, 12}, j)));
  static_assert(!fw::both<fw::causal, fw::full>::sees_ahead && fw::both<fw::prefix, fw::full>::sees_ahead);
}
