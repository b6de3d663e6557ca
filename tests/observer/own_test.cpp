// SPDX-License-Identifier: MIT
#include "laws/observer_laws.hpp"

TEMPLATE_TEST_CASE("An observer of one's own keeps the laws of observers", "", float, double) {
  laws::observer_laws<TestType>(laws::keys_above{});
}
