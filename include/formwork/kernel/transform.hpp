// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/matrix.hpp>
#include <formwork/core/parallel.hpp>

#include <algorithm>

namespace formwork::inline FORMWORK_ABI {

/// Rows handed to a thread at once: about 16 KB of floats.
constexpr Index rows_per_task(Index cols) { return cols >= 4096 ? 1 : 4096 / (cols > 0 ? cols : 1); }

/// out(i, j) = f(in(i, j)...), on packs. An input may be the output itself.
///
/// Shapes    all alike; f takes one pack<S> for each input and gives one.
/// Numerics  a tail runs the same code on padded packs, so bits do not depend on alignment or width.
template <class S, class F, class... In>
void transform(view<S> out, F f, const In&... in) {
  using P = pack<S>;
  parallel_ranges(out.rows(), rows_per_task(out.cols()), [&](Index first, Index last) {
    for (Index i = first; i < last; ++i) {
      Index j = 0;
      for (; j + P::size <= out.cols(); j += P::size) f(P::load(view<const S>(in).row(i) + j)...).store(out.row(i) + j);
      if (const Index rest = out.cols() - j; rest > 0)
        f(P::load(view<const S>(in).row(i) + j, rest)...).store(out.row(i) + j, rest);
    }
  });
}

template <class S>
void fill(view<S> out, S value) {
  for (Index i = 0; i < out.rows(); ++i) std::fill_n(out.row(i), out.cols(), value);
}

/// The same as a contribution to a sum: fresh overwrites, continued adds.
template <class S, class F, class... In>
  requires(sizeof...(In) > 0)
void contribute(view<S> sum, start how, F f, const In&... in) {
  using P = pack<S>;
  if (how == start::fresh)
    transform(sum, f, in...);
  else
    transform(sum, [f](P old, auto... x) { return old + f(x...); }, sum, in...);
}

/// Adds (or copies) a whole matrix.
template <class S>
void contribute(view<S> sum, start how, const_view<S> x) {
  contribute(sum, how, [](pack<S> v) { return v; }, x);
}

}  // namespace formwork
