// SPDX-License-Identifier: MIT
#include <formwork/score/plain.hpp>

#include "laws/score_laws.hpp"

namespace fw = formwork;

static_assert(fw::leaves_scores<fw::plain>);

TEST_CASE("plain keeps the laws of scores") { laws::score_laws(fw::plain{}); }

namespace {
/// plain without saying that it leaves scores as they are.
struct spelled_out {
  using plugs_into = fw::slot::score;
  template <class T>
  T operator()(T score, fw::score_site<T>) const {
    return score;
  }
};
}  // namespace

TEST_CASE("plain takes the path of no formula, which differs from a formula's only by rounding") {
  const cases::attention_case<double> one({2, 1, 8, 6}, {70});
  const auto fast = one.run(cases::policies(fw::causal{})),
             slow = one.run(cases::policies(fw::causal{}, fw::inv_sqrt{}, spelled_out{}));
  CHECK(checks::largest_error(fast.out, slow.out) < 1e-13);
  CHECK(checks::largest_error(fast.dq, slow.dq) < 1e-13);
  CHECK(checks::largest_error(fast.dk, slow.dk) < 1e-13);
}
