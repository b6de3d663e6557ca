// SPDX-License-Identifier: MIT
#include <formwork/core/memory.hpp>
#include <formwork/heads.hpp>
#include <formwork/kernel/attend.hpp>
#include <formwork/mask.hpp>
#include <formwork/scale.hpp>
#include <formwork/score.hpp>
#include <formwork/weights.hpp>

#include "support/catch.hpp"

namespace fw = formwork;
using fw::Index;

TEST_CASE("attention over 65,536 tokens takes at most a fifth more memory than what goes in and comes out") {
  const Index n = 65536, d = 64;
  const int before = fw::threads();
  fw::threads(1);
  fw::pool& pool = fw::pool::instance();
  const fw::sequences batch = fw::sequences::equal(1, n);
  const fw::head_shape shape{1, 1, d, d};
  // The mask saves time, not memory.
  const fw::attend_policies chosen{fw::sliding_window{64}, fw::inv_sqrt{}, fw::plain{}, fw::softmax{}, fw::independent{}};
  const fw::matrix<float> q(n, d, 0.5f), k(n, d, 0.25f), v(n, d, 1.f);
  fw::matrix<float> out(n, d), kept(n, 1);
  const std::size_t matrix_bytes = n * d * sizeof(float), row_bytes = n * sizeof(float);

  pool.reset_peak();
  const std::size_t forward_before = pool.statistics().in_use;
  fw::attend_forward<float>(out, kept, q, k, v, batch, batch, shape, chosen);
  CHECK(pool.statistics().peak - forward_before <= (4 * matrix_bytes + row_bytes) / 5);
  CHECK(out(n - 1, 0) == Approx(1));

  fw::matrix<float> dq(n, d), dk(n, d), dv(n, d);
  pool.reset_peak();
  const std::size_t backward_before = pool.statistics().in_use;
  fw::attend_backward<float>(dq, dk, dv, q, out, kept, q, k, v, batch, batch, shape, chosen);
  CHECK(pool.statistics().peak - backward_before <= (8 * matrix_bytes + row_bytes) / 5);
  CHECK(dv(n / 2, 0) == Approx(0.5));
  fw::threads(before);
}
