// SPDX-License-Identifier: MIT
#pragma once
#include "kernel/attend_cases.hpp"

/// What every score formula promises (contract/score.hpp).
namespace laws {

namespace fw = formwork;
using fw::Index;

/// One lane alone has the bits it has in a whole pack, and a dual's value those of a plain pack.
template <class S, class Score>
void lanes_agree(const Score& score) {
  using P = fw::pack<S>;
  using one = fw::pack<S, 1>;
  using D = fw::dual<P>;
  checks::numbers random(5);
  for (int round = 0; round < 2000; ++round) {
    const Index position = random.below(5000), key = random.below(position + 1), head = random.below(4);
    const auto scores = random.matrix<S>(1, P::size, round % 2 ? 3 : 40);
    const P distance = P(position) - P::ramp(static_cast<S>(key)), s = P::load(scores.data());
    const P all = score(s, fw::score_site<P>{distance, position, key, head, 4});
    const D bent = score(D(s, P(1)), fw::score_site<D>{D(distance), position, key, head, 4});
    for (int lane = 0; lane < P::size; ++lane) {
      const one alone = score(one(s[lane]), fw::score_site<one>{one(distance[lane]), position, key + lane, head, 4});
      CAPTURE(s[lane], position, key, head);
      REQUIRE(std::bit_cast<typename P::integer>(alone[0]) == std::bit_cast<typename P::integer>(all[lane]));
      REQUIRE(std::bit_cast<typename P::integer>(bent.value[lane]) == std::bit_cast<typename P::integer>(all[lane]));
    }
  }
}

/// The slope the kernel gets matches central differences.
template <class Score>
void slope_is_right(const Score& score) {
  const auto value = [&](double s, Index position, Index key) {
    return oracle::formula<double>(score, s, position, key, 1, 4).first;
  };
  for (double s = -40; s <= 40; s += 0.37)
    for (const Index key : {0, 7, 90}) {
      const double h = 1e-3, slope = oracle::formula<double>(score, s, 90, key, 1, 4).second;
      const double difference = (8 * (value(s + h, 90, key) - value(s - h, 90, key)) -
                                 (value(s + 2 * h, 90, key) - value(s - 2 * h, 90, key))) /
                                (12 * h);
      CAPTURE(s, key);
      REQUIRE(std::abs(slope - difference) <= 1e-6 * std::max(1.0, std::abs(slope)));
    }
}

template <class Score>
void score_laws(const Score& score) {
  lanes_agree<float>(score);
  lanes_agree<double>(score);
  slope_is_right(score);
}

}  // namespace laws
