// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/heads.hpp>
#include <formwork/core/sequences.hpp>

/// What the benchmarks of attention share.
namespace bench {

namespace fw = formwork;
using fw::Index;

/// Random queries, keys and values of one sequence, and everything that an attention and its backward write.
struct attention_inputs {
  fw::head_shape shape;
  fw::sequences batch;
  fw::matrix<float> q, k, v, dout, out, kept, dq, dk, dv;

  attention_inputs(Index n, fw::head_shape sizes)
      : shape(sizes),
        batch{n},
        q(n, sizes.query_heads * sizes.key_width),
        k(n, sizes.key_heads * sizes.key_width),
        v(n, sizes.value_heads * sizes.head_width),
        dout(n, sizes.output_heads * sizes.head_width),
        out(n, dout.cols()),
        kept(n, sizes.heads),
        dq(n, q.cols()),
        dk(n, k.cols()),
        dv(n, v.cols()) {
    for (auto* m : {&q, &k, &v, &dout}) fw::eigen(*m).setRandom();
  }
};

}  // namespace bench
