// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/sequences.hpp>
#include <formwork/kernel/scan_tables.hpp>

#include <algorithm>
#include <utility>

namespace formwork::inline FORMWORK_ABI {

/// Chunks whose carries are in cache together, and whose products are made together.
inline constexpr Index scan_span = 9;

/// Spans of a sequence of `length` tokens; of each the carry at its start is kept for the backward.
constexpr Index scan_spans(Index length) { return (length + scan_span * scan_chunk - 1) / (scan_span * scan_chunk); }
inline Index scan_spans(const sequences& batch) {
  Index total = 0;
  for (Index s = 0; s < batch.count(); ++s) total += scan_spans(batch.length(s));
  return total;
}

/// What a diagonal state space has seen of each sequence: the carry at its last chunk boundary and the inputs since.
///
/// Cost      (components + scan_chunk) numbers a channel and sequence, whatever the length.
template <real S>
class scan_state {
 public:
  scan_state() = default;
  scan_state(Index count, const scan_tables<S>& tables)
      : carries_(count, tables.groups() * tables.components() * lanes<S>, S(0)),
        inputs_(count, tables.groups() * scan_chunk * lanes<S>, S(0)), lengths_(static_cast<std::size_t>(count), 0) {}

  Index count() const { return static_cast<Index>(lengths_.size()); }
  /// Tokens seen.
  Index length(Index sequence) const { return lengths_[static_cast<std::size_t>(sequence)]; }
  /// Those since the last chunk boundary.
  Index begun(Index sequence) const { return length(sequence) % scan_chunk; }
  void advance(const sequences& batch) {
    for (Index s = 0; s < count(); ++s) lengths_[static_cast<std::size_t>(s)] += batch.length(s);
  }
  S* carry(Index sequence) { return carries_.row(sequence); }
  S* inputs(Index sequence) { return inputs_.row(sequence); }

 private:
  matrix<S> carries_, inputs_;  // by group: components, and scan_chunk rows, of packs
  pooled_vector<Index> lengths_;
};

/// The groups of channels that share a cache line, in one sequence: what a thread works on.
template <real S>
class scan_line {
 public:
  static constexpr Index groups_in_line = alignment / sizeof(S) / lanes<S>;
  static Index lines(const scan_tables<S>& tables) { return (tables.groups() + groups_in_line - 1) / groups_in_line; }

  scan_line(const scan_tables<S>& tables, Index line)
      : tables_(tables), first_(line * groups_in_line), groups_(std::min(groups_in_line, tables.groups() - first_)),
        n_(tables.components()), size_(n_ * lanes<S>), room_(2 * tokens * lanes<S> + 3 * (scan_span + 1) * size_) {}

  /// The rows of u after the `begun` inputs of an unfinished chunk. `carry` and `inputs` are those of all groups and are
  /// brought up to date; `inputs` may be null where nothing is begun or follows. `kept`, if given, gets the spans' first
  /// carries.
  void forward(view<S> y, view<const S> u, S* carry, S* inputs, Index begun, view<S> kept) {
    const Index end = begun + u.rows();
    for (Index at = 0; at < end; at += tokens) {
      const Index here = std::min(tokens, end - at), chunks = (here + scan_chunk - 1) / scan_chunk, whole = here / scan_chunk;
      const Index old = std::max<Index>(begun - at, 0), fresh = at + old - begun;  // tokens begun; the first row of the others
      for (Index g = first_; g < first_ + groups_; ++g) {
        S* mine = carry + g * size_;
        S* pending = inputs ? inputs + g * scan_chunk * lanes<S> : nullptr;
        if (pending) std::copy_n(pending, old * lanes<S>, in());
        gather(in() + old * lanes<S>, u.rows(fresh, here - old), g, chunks * scan_chunk - old);
        if (kept.data()) std::copy_n(mine, size_, kept.row(at / tokens) + g * size_);
        std::copy_n(mine, size_, carries());
        carry_through(g, whole);
        const Index from = chunks == 1 ? old : 0, to = chunks == 1 ? here : scan_chunk;
        lane_product<S>(by_token(out()).from(from, 0), to - from, chunks, n_, tables_.observe(g).transposed().from(from, 0),
                        by_component(carries()));
        lane_convolve<S>(by_token(out()), from, to, chunks, tables_.kernel(g), by_token(in()).transposed());
        scatter(y.rows(fresh, here - old), out() + old * lanes<S>, g, start::fresh);
        std::copy_n(carries() + whole * size_, size_, mine);
        if (pending) std::copy_n(in() + whole * scan_chunk * lanes<S>, (here - whole * scan_chunk) * lanes<S>, pending);
      }
    }
  }

  /// A whole sequence. Adds to the gradients of the tables' numbers where they are given.
  void backward(view<S> du, start how, view<const S> dy, view<const S> u, view<const S> kept, scan_tables<S>* sums) {
    const scratch<S> later_carries(groups_ * size_);
    std::fill_n(later_carries.data(), groups_ * size_, S(0));
    for (Index span = scan_spans(u.rows()); span-- > 0;) {
      const Index at = span * tokens, here = std::min(tokens, u.rows() - at), chunks = (here + scan_chunk - 1) / scan_chunk;
      for (Index g = first_; g < first_ + groups_; ++g) {
        S* later = later_carries.data() + (g - first_) * size_;
        gather(out(), dy.rows(at, here), g, chunks * scan_chunk);  // dy
        lane_product<S>(by_component(slopes()).transposed(), n_, chunks, scan_chunk, tables_.observe(g),
                        by_token(out()).transposed());
        std::copy_n(later, size_, slopes() + chunks * size_);
        carry_back(g, chunks);
        std::copy_n(slopes(), size_, later);
        if (sums) {
          gather(in(), u.rows(at, here), g, chunks * scan_chunk);
          std::copy_n(kept.row(span) + g * size_, size_, carries());
          carry_through(g, chunks - 1);
          add_to(*sums, g, chunks);
        }
        // From the chunk's last token to its first, the causal convolution once more.
        const lane_matrix<S> back = by_token(in()).from(scan_chunk - 1, 0), du_back{back.data, -1, back.step};
        const lane_matrix<const S> dy_back{by_token(out()).at(scan_chunk - 1, 0), scan_chunk, -1};
        lane_product<S>(by_token(in()), scan_chunk, chunks, n_, tables_.control(g).transposed(),
                        by_component(slopes() + size_));
        lane_convolve<S>(du_back, 0, scan_chunk, chunks, tables_.kernel(g), dy_back);
        scatter(du.rows(at, here), in(), g, how);
      }
    }
  }

 private:
  static constexpr Index tokens = scan_span * scan_chunk;

  // The working set, packs: inputs and outputs of the tokens, carries, what enters them, and the slopes of both.
  S* in() { return room_.data(); }
  S* out() { return room_.data() + tokens * lanes<S>; }
  S* carries() { return room_.data() + 2 * tokens * lanes<S>; }
  S* entering() { return carries() + (scan_span + 1) * size_; }
  S* slopes() { return carries() + 2 * (scan_span + 1) * size_; }
  /// (token of the chunk, chunk); (chunk, component).
  static lane_matrix<S> by_token(S* p) { return {p, 1, scan_chunk}; }
  lane_matrix<S> by_component(S* p) const { return {p, n_, 1}; }

  static void gather(S* to, view<const S> rows, Index g, Index padded_rows) {
    const Index channel = g * lanes<S>, count = rows.cols() - channel;
    for (Index i = 0; i < rows.rows(); ++i) pack<S>::load(rows.row(i) + channel, count).store(to + i * lanes<S>);
    std::fill(to + rows.rows() * lanes<S>, to + padded_rows * lanes<S>, S(0));
  }
  static void scatter(view<S> rows, const S* from, Index g, start how) {
    const Index channel = g * lanes<S>, count = rows.cols() - channel;
    for (Index i = 0; i < rows.rows(); ++i) {
      pack<S> x = pack<S>::load(from + i * lanes<S>);
      if (how == start::continued) x = pack<S>::load(rows.row(i) + channel, count) + x;
      x.store(rows.row(i) + channel, count);
    }
  }

  /// The carries after each of `count` chunks: c' = turn c + control u.
  void carry_through(Index g, Index count) {
    lane_product<S>(by_component(entering()).transposed(), n_, count, scan_chunk, tables_.control(g),
                    by_token(in()).transposed());
    for (Index r = 0; r < count; ++r)
      turned<1>(g, carries() + (r + 1) * size_, carries() + r * size_, entering() + r * size_);
  }
  /// The slopes of the carries before each chunk, from what its outputs give and the slope of the carry after it.
  void carry_back(Index g, Index count) {
    for (Index r = count; r-- > 0;) {
      S* mine = slopes() + r * size_;
      turned<-1>(g, mine, mine + size_, mine);
    }
  }
  /// to = added + turn from, or the transposed turn where Sign is -1.
  template <int Sign>
  void turned(Index g, S* to, const S* from, const S* added) const {
    using P = pack<S>;
    const S* turn = tables_.turn(g);
    if (tables_.kind() == poles::real) {
      for (Index i = 0; i < size_; i += lanes<S>)
        fma(P::load(turn + i), P::load(from + i), P::load(added + i)).store(to + i);
      return;
    }
    for (Index i = 0; i < size_; i += 2 * lanes<S>) {
      const Index j = i + lanes<S>;
      const complex<P> by{P::load(turn + i), Sign > 0 ? P::load(turn + j) : -P::load(turn + j)};
      const complex<P> carry{P::load(from + i), P::load(from + j)};
      const complex<P> next = fma(by, carry, {P::load(added + i), P::load(added + j)});
      next.re.store(to + i), next.im.store(to + j);
    }
  }

  /// The gradients of the tables' numbers: outer products over the chunks.
  void add_to(scan_tables<S>& sums, Index g, Index chunks) {
    const S* after = slopes() + size_;  // of the carry after each chunk
    lane_product<S>(sums.observe(g).transposed(), scan_chunk, n_, chunks, by_token(out()), by_component(carries()).transposed(),
                    start::continued);
    lane_product<S>(sums.control(g).transposed(), scan_chunk, n_, chunks, by_token(in()),
                    lane_matrix<const S>{after, 1, n_}, start::continued);
    lane_correlate<S>(sums.kernel(g), scan_chunk, chunks, by_token(out()).transposed(), by_token(in()).transposed());
    for (Index r = 0; r < chunks; ++r) add_turn(sums.turn(g), carries() + r * size_, after + r * size_);
  }
  /// turn += what gives the slopes d of turn c: conj(c) d.
  void add_turn(S* turn, const S* c, const S* d) const {
    using P = pack<S>;
    if (tables_.kind() == poles::real) {
      for (Index i = 0; i < size_; i += lanes<S>)
        fma(P::load(d + i), P::load(c + i), P::load(turn + i)).store(turn + i);
      return;
    }
    for (Index i = 0; i < size_; i += 2 * lanes<S>) {
      const Index j = i + lanes<S>;
      const complex<P> carry{P::load(c + i), P::load(c + j)}, slope{P::load(d + i), P::load(d + j)};
      const complex<P> sum = fma(conj(carry), slope, {P::load(turn + i), P::load(turn + j)});
      sum.re.store(turn + i), sum.im.store(turn + j);
    }
  }

  const scan_tables<S>& tables_;
  Index first_, groups_, n_;  // groups of channels; components of each
  Index size_;                // numbers of a group's carry
  scratch<S> room_;
};

/// f(sequence, line) for all of them, over threads where `tokens` are worth it.
template <real S, class F>
void each_scan_line(const scan_tables<S>& tables, Index sequences, Index tokens, F f) {
  const Index lines = scan_line<S>::lines(tables);
  const auto run = [&](Index task) { f(task / lines, task % lines); };
  if (tokens * tables.channels() * tables.components() >= Index(1) << 18)
    parallel_for(lines * sequences, run);
  else
    for (Index task = 0; task < lines * sequences; ++task) run(task);
}

/// y_t = Σ_{j ≤ t} Σ_n Re(weight_n pole_n^(t - j)) u_j + skip u_t for every channel of every sequence: the parallel form.
/// Chunks start at position 0 of each sequence; `kept`, if given, gets the carry before every span of them, for the backward.
///
/// Shapes    y, u (tokens × channels), kept (scan_spans × groups · components · lanes<S>).
/// Numerics  every output is one chain: the carry by component, then the chunk's inputs in their order; carries are chains
///           too. So the same bits for any batch, split, number of threads and address, and no later input is ever read into
///           an output. float is within twice the error of the naive recurrence (scan_test.cpp).
/// Cost      2 components + scan_chunk / 2 + 2 components / scan_chunk multiply-adds a token and channel, linear in the length;
///           memory beside the arguments is a few spans a thread. The recurrence on packs of channels needs 3 components: of 64
///           and with the tables, on 4 sequences, it takes 1.3 times as long at 4096 tokens and as long at 1024 (s4d_bench,
///           Zen 3). Chunks of 8 or 32 gained nothing.
template <real S>
void scan_forward(view<S> y, const_view<S> u, const sequences& batch, const scan_tables<S>& tables,
                  std::type_identity_t<view<S>> kept = {}) {
  const Index size = tables.groups() * tables.components() * lanes<S>;
  const scratch<S> carries(batch.count() * size);
  std::fill_n(carries.data(), batch.count() * size, S(0));
  pooled_vector<Index> spans(1, 0);
  for (Index s = 0; s < batch.count(); ++s) spans.push_back(spans.back() + scan_spans(batch.length(s)));
  each_scan_line(tables, batch.count(), batch.rows(), [&](Index s, Index line) {
    const Index first = batch.first(s), count = batch.length(s), span = spans[static_cast<std::size_t>(s)];
    scan_line<S>(tables, line)
        .forward(y.rows(first, count), u.rows(first, count), carries.data() + s * size, nullptr, 0,
                 kept.data() ? kept.rows(span, scan_spans(count)) : kept);
  });
}

/// The incremental form: the next inputs of each sequence after those that the state has seen. The bits of the parallel form.
///
/// Cost      as the parallel form; a single token costs components + scan_chunk / 2, and at the end of a chunk scan_chunk
///           components more to move the carry.
template <real S>
void scan_forward(view<S> y, const_view<S> u, const sequences& batch, const scan_tables<S>& tables, scan_state<S>& state) {
  each_scan_line(tables, batch.count(), batch.rows(), [&](Index s, Index line) {
    const Index first = batch.first(s), count = batch.length(s);
    scan_line<S>(tables, line)
        .forward(y.rows(first, count), u.rows(first, count), state.carry(s), state.inputs(s), state.begun(s), {});
  });
  state.advance(batch);
}

/// The gradient of the parallel form: du, and where `sums` is given the gradients of the tables' numbers are added to it. The
/// adjoint carries run from the last chunk to the first; the carries of a span are computed again from its first one.
///
/// Numerics  the gradient of a table's number is one chain: sequences in order, spans from the last, chunks of each in order.
/// Cost      5 components + scan_chunk + 6 components / scan_chunk multiply-adds a token and channel.
template <real S>
void scan_backward(view<S> du, start how, const_view<S> dy, const_view<S> u, const_view<S> kept, const sequences& batch,
                   const scan_tables<S>& tables, scan_tables<S>* sums) {
  each_scan_line(tables, 1, batch.rows(), [&](Index, Index line) {
    scan_line<S> one(tables, line);
    Index span = 0;
    for (Index s = 0; s < batch.count(); ++s) {
      const Index first = batch.first(s), count = batch.length(s), spans = scan_spans(count);
      one.backward(du.rows(first, count), how, dy.rows(first, count), u.rows(first, count), kept.rows(span, spans), sums);
      span += spans;
    }
  });
}

}  // namespace formwork
