// SPDX-License-Identifier: MIT
#include <formwork/scale/inv_sqrt.hpp>

#include "laws/scale_laws.hpp"

namespace fw = formwork;

TEST_CASE("inv_sqrt keeps the laws of scales") { laws::scale_laws(fw::inv_sqrt{}); }

TEST_CASE("inv_sqrt: 0.125 at d = 64, whatever is seen") {
  CHECK(fw::inv_sqrt{}({.visible_keys = 1, .key_width = 64, .position = 0}) == 0.125);
  CHECK(fw::inv_sqrt{}({.visible_keys = 4096, .key_width = 64, .position = 9}) == 0.125);
}
