// SPDX-License-Identifier: MIT
#include <formwork/mask/sink_window.hpp>

#include "laws/mask_laws.hpp"

namespace fw = formwork;
using fw::Index;

TEST_CASE("sink_window keeps the laws of masks") {
  for (const Index sinks : {0, 1, 4, 30})
    for (const Index width : {0, 1, 5, 100}) laws::mask_laws(fw::sink_window{sinks, width});
}

TEST_CASE("sink_window: causal, and within the width or one of the sinks") {
  const fw::sink_window mask{.sinks = 2, .width = 3};
  for (Index i = 0; i < 12; ++i)
    for (Index j = 0; j < 12; ++j) CHECK(mask.visible({i, 12}, j) == (j <= i && (i - j < 3 || j < 2)));
  CHECK(mask.count({11, 12}) == 5);
}
