// SPDX-License-Identifier: MIT
#include <formwork/kernel/mix_heads.hpp>

#include "kernel/checks.hpp"

using namespace checks;

TEMPLATE_TEST_CASE("mix_heads is one chain an element for any number of heads and packs, and writes no other number", "", float,
                   double) {
  using S = TestType;
  using one = fw::pack<S, 1>;
  constexpr Index l = fw::lanes<S>, most = 8, step = (most + 3) * l;
  for (const auto& [ins, outs] : {std::pair<Index, Index>{1, 1}, {2, 3}, {12, 7}, {5, 16}, {3, 2 * fw::tile_rows + 3}})
    for (Index packs = 0; packs <= most; ++packs) {
      CAPTURE(ins, outs, packs);
      numbers random(static_cast<std::uint64_t>(100 * ins + packs));
      const auto in = random.matrix<S>(ins, step), m = random.matrix<S>(ins, outs);
      auto out = random.matrix<S>(outs, step);
      auto expected = out;
      for (Index o = 0; o < outs; ++o)
        for (Index j = 0; j < packs * l; ++j) {
          one sum(S(0));
          for (Index i = 0; i < ins; ++i) sum = fma(one(m(i, o)), one(in(i, j)), sum);
          expected(o, j) = sum[0];
        }
      fw::mix_heads<S>(out.data(), outs, in.data(), ins, step, m.data(), m.stride(), 1, packs);
      CHECK(same_bits(out, expected));
    }
}
