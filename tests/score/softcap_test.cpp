// SPDX-License-Identifier: MIT
#include <formwork/score/softcap.hpp>

#include "laws/score_laws.hpp"

namespace fw = formwork;

static_assert(!fw::leaves_scores<fw::softcap>);

TEST_CASE("softcap keeps the laws of scores") {
  laws::score_laws(fw::softcap{});
  laws::score_laws(fw::softcap{5});
}

TEST_CASE("softcap: small scores pass, large ones stop at the cap") {
  const auto capped = [](double s) { return oracle::formula<double>(fw::softcap{30}, s, 0, 0, 0, 1).first; };
  CHECK(capped(0) == 0);
  CHECK(capped(0.1) == Approx(0.1).epsilon(1e-5));
  CHECK(capped(30) == Approx(22.847824678672794));
  CHECK(capped(1e6) == 30);
  CHECK(capped(-1e6) == -30);
}
