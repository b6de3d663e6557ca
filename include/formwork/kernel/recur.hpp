// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/matrix.hpp>
#include <formwork/core/parallel.hpp>
#include <formwork/core/sequences.hpp>
#include <formwork/kernel/transition.hpp>

#include <algorithm>

namespace formwork::inline FORMWORK_ABI {

/// Positions between two states that a forward pass keeps for the backward pass, which computes the others again.
inline constexpr Index recur_chunk = 32;

/// The states of a linear memory for `width` channels: one matrix row holds, for each tile of channels, order × tile_cols
/// numbers (whole tiles of them), channel c of coefficient n at (c / tile_cols) size + n tile_cols + c % tile_cols.
template <transition T>
struct state_layout {
  using S = typename T::scalar;
  Index width, size;

  state_layout(const T& step, Index channels) : width(channels), size(step.rows() * tile_cols<S>) {}
  Index groups() const { return (width + tile_cols<S> - 1) / tile_cols<S>; }
  Index numbers() const { return groups() * size; }
  Index first(Index group) const { return group * tile_cols<S>; }
  Index count(Index group) const { return std::min<Index>(tile_cols<S>, width - first(group)); }
  /// Kept states: those of a sequence that starts at a row begin here; never more than first_kept(all rows, sequences).
  static Index first_kept(Index row, Index sequence) { return row / recur_chunk + sequence; }
};

/// Each task on any thread; on this one where there is less work than a team is worth.
template <class F>
void for_each_walk(Index tasks, Index work, F&& walk) {
  if (work >= 1 << 16) return parallel_for(tasks, walk);
  for (Index task = 0; task < tasks; ++task) walk(task);
}

/// The columns of one tile of channels, padded with zeros.
template <real S>
FORMWORK_INLINE void load_channels(S* to, const S* from, Index count) {
  for (Index j = 0; j < tile_cols<S>; j += lanes<S>) pack<S>::load(from + j, std::max<Index>(count - j, 0)).store(to + j);
}
template <real S>
FORMWORK_INLINE void store_channels(S* to, const S* from, Index count) {
  for (Index j = 0; j < count; j += lanes<S>) pack<S>::load(from + j).store(to + j, count - j);
}

/// y = d u + Σ_n c_n x_n for one tile of channels: two chains, of even and of odd n.
template <real S>
void read_out(S* y, const S* x, const S* c, const S* d, const S* u, Index order) {
  using P = pack<S>;
  P sum[2][tile_packs];
#pragma GCC unroll 16
  for (int j = 0; j < tile_packs; ++j)
    sum[0][j] = P::load(d + j * lanes<S>) * P::load(u + j * lanes<S>), sum[1][j] = P(0);
  const auto add = [&](int chain, Index n) {
#pragma GCC unroll 16
    for (int j = 0; j < tile_packs; ++j) {
      const Index at = n * tile_cols<S> + j * lanes<S>;
      sum[chain][j] = fma(P::load(c + at), P::load(x + at), sum[chain][j]);
    }
  };
  Index n = 0;
  for (; n + 2 <= order; n += 2) add(0, n), add(1, n + 1);
  if (n < order) add(0, n);
  for (int j = 0; j < tile_packs; ++j) (sum[0][j] + sum[1][j]).store(y + j * lanes<S>);
}

/// The memory of each channel walks along its sequence and is read at every position: x ← A_k x + B_k u, y = c · x + d u.
///
/// Shapes    u, y (rows × width); c (order × width), d (1 × width); states (sequences × layout.numbers()): where each sequence
///           stands, moved on; kept: empty, or (first_kept(rows, sequences) × layout.numbers()) for the backward pass. With an
///           empty y nothing is read.
/// Numerics  sequential in time: a split at any position gives the same bits. A lane is a channel: nothing but its own past
///           reaches it.
/// Cost      the transition's, and 2 order operations a channel for reading. Threads take sequences × tiles of channels.
template <transition T, class S = typename T::scalar>
void recur_forward(view<S> y, view<S> states, view<S> kept, const_view<S> u, const_view<S> c, const_view<S> d,
                   const sequences& batch, const T& step) {
  const state_layout layout(step, u.cols());
  constexpr Index cols = tile_cols<S>;
  const Index order = step.order(), size = layout.size, room = 2 * size + step.room() + 3 * cols;
  const scratch<S> rooms(threads() * room);
  for_each_walk(batch.count() * layout.groups(), u.rows() * layout.numbers(), [&](Index task) {
    const Index s = task / layout.groups(), group = task % layout.groups();
    const Index first = layout.first(group), count = layout.count(group);
    S *next = rooms.data() + thread_number() * room, *weight = next + size, *in = weight + size, *skip = in + cols,
      *out = skip + cols, *own_room = out + cols;
    S *const own = states.row(s) + group * size, *x = own;
    if (!y.empty()) {
      for (Index n = 0; n < order; ++n) load_channels(weight + n * cols, c.row(n) + first, count);
      load_channels(skip, d.row(0) + first, count);
    }
    for (Index t = 0; t < batch.length(s); ++t) {
      const Index row = batch.first(s) + t;
      if (!kept.empty() && t % recur_chunk == 0)
        std::copy_n(x, size, kept.row(layout.first_kept(batch.first(s), s) + t / recur_chunk) + group * size);
      load_channels(in, u.row(row) + first, count);
      step.forward(next, x, in, batch.start(s) + t, own_room);
      std::swap(x, next);
      if (y.empty()) continue;
      read_out(out, x, weight, skip, in, order);
      store_channels(y.row(row) + first, out, count);
    }
    if (x != own) std::copy_n(x, size, own);
  });
}

/// dL/du, and for each sequence dL/dc and dL/dd, from dL/dy: chunk by chunk from the end, the states of a chunk computed again
/// from the kept one, the adjoint g ← A_kᵀ (g + c dy) walking back through it.
///
/// Shapes    du, dy, u (rows × width); c, d, kept as above; partial (sequences × layout
///           numbers + groups tile_cols): dc as states are, then dd.
/// Numerics  dc: sums of a chunk in registers, chunks added from the last.
/// Cost      twice the forward pass, and 2 order operations more.
template <transition T, class S = typename T::scalar>
void recur_backward(view<S> du, start how, view<S> partial, const_view<S> dy, const_view<S> kept, const_view<S> u,
                    const_view<S> c, const_view<S> d, const sequences& batch, const T& step) {
  using P = pack<S>;
  const state_layout layout(step, u.cols());
  constexpr Index cols = tile_cols<S>;
  const Index order = step.order(), size = layout.size;
  const Index room = (recur_chunk + 4) * size + (2 * recur_chunk + 2) * cols + step.room();
  const scratch<S> rooms(threads() * room);
  for_each_walk(batch.count() * layout.groups(), u.rows() * layout.numbers(), [&](Index task) {
    const Index s = task / layout.groups(), group = task % layout.groups();
    const Index first = layout.first(group), count = layout.count(group);
    S *path = rooms.data() + thread_number() * room, *weight = path + (recur_chunk + 1) * size, *g = weight + size,
      *before = g + size, *in = before + size, *out = in + recur_chunk * cols, *skip = out + recur_chunk * cols,
      *slope = skip + cols, *own_room = slope + cols;
    S *const dc = partial.row(s) + group * size, *const dd = partial.row(s) + layout.numbers() + group * cols;
    for (Index n = 0; n < order; ++n) load_channels(weight + n * cols, c.row(n) + first, count);
    load_channels(skip, d.row(0) + first, count);
    std::fill_n(g, size, S(0));
    std::fill_n(dc, size, S(0));
    std::fill_n(dd, cols, S(0));

    const Index chunks = (batch.length(s) + recur_chunk - 1) / recur_chunk;
    for (Index chunk = chunks; chunk-- > 0;) {
      const Index from = chunk * recur_chunk, steps = std::min(recur_chunk, batch.length(s) - from);
      const Index row = batch.first(s) + from;
      std::copy_n(kept.row(layout.first_kept(batch.first(s), s) + chunk) + group * size, size, path);
      for (Index t = 0; t < steps; ++t) {
        load_channels(in + t * cols, u.row(row + t) + first, count);
        load_channels(out + t * cols, dy.row(row + t) + first, count);
        step.forward(path + (t + 1) * size, path + t * size, in + t * cols, batch.start(s) + from + t, own_room);
      }
      // sum[j] += Σ_t dy_t x_t for a row of numbers a step apart
      const auto add_products = [&](S* sum, const S* x, Index apart) {
        for (Index j = 0; j < cols; j += P::size) {
          P chain(0);
          for (Index t = 0; t < steps; ++t) chain = fma(P::load(out + t * cols + j), P::load(x + t * apart + j), chain);
          (P::load(sum + j) + chain).store(sum + j);
        }
      };
      for (Index n = 0; n < order; ++n) add_products(dc + n * cols, path + size + n * cols, size);
      add_products(dd, in, cols);
      for (Index t = steps; t-- > 0;) {
        for (Index n = 0; n < order; ++n)
          for (Index j = 0; j < cols; j += P::size)
            fma(P::load(weight + n * cols + j), P::load(out + t * cols + j), P::load(g + n * cols + j)).store(g + n * cols + j);
        step.backward(before, g, slope, batch.start(s) + from + t, own_room);
        std::swap(before, g);
        for (Index j = 0; j < count; j += P::size) {
          const P now = fma(P::load(skip + j), P::load(out + t * cols + j), P::load(slope + j));
          S* const to = du.row(row + t) + first + j;
          (how == start::fresh ? now : P::load(to, count - j) + now).store(to, count - j);
        }
      }
    }
  });
}

}  // namespace formwork
