// SPDX-License-Identifier: MIT
#include "kernel/talking_cases.hpp"

#include <tuple>

namespace fw = formwork;
using cases::mechanisms;
using cases::talking;
using cases::talking_case;
using fw::Index;

namespace {

/// f(mask, scale, score) for every triple.
template <class F>
void each_triple(F f) {
  const std::tuple masks{fw::causal{}, fw::full{}, oracle::sinks_and_window{}, oracle::ahead_with_blind_rows{}};
  const std::tuple scales{fw::inv_sqrt{}, oracle::by_visible_keys{}};
  const std::tuple scores{fw::plain{}, fw::softcap{3}, oracle::squashed_recency{}};
  const auto each = [](const auto& all, auto g) { std::apply([&](const auto&... one) { (g(one), ...); }, all); };
  each(masks, [&](auto mask) { each(scales, [&](auto scale) { each(scores, [&](auto score) { f(mask, scale, score); }); }); });
}

}  // namespace

TEST_CASE("talking heads meet every mask, scale and formula: double kernel against the formula in loops") {
  const talking_case<double> one(talking(3, 4, 2, 7, 9), {230, 3, 30});
  each_triple([&](auto mask, auto scale, auto score) {
    const mechanisms chosen{mask, scale, score};
    const auto got = one.run(chosen), exact = one.expect(chosen);
    const auto check = [](const char* what, const fw::matrix<double>& ours, const fw::matrix<double>& expected) {
      INFO(what);
      CHECK(checks::largest_error(ours, expected) <= 1e-13 * (1 + checks::largest_of(expected)));
    };
    check("out", got.plain.out, exact.plain.out);
    check("dq", got.plain.dq, exact.plain.dq);
    check("dk", got.plain.dk, exact.plain.dk);
    check("dv", got.plain.dv, exact.plain.dv);
    check("dscores", got.dscores, exact.dscores);
    check("dweights", got.dweights, exact.dweights);
  });
}
