// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/kernel/linear_attend_chunk.hpp>

namespace formwork::inline FORMWORK_ABI {

/// The backward of one key head of one sequence and of the query heads that read it. With g_i = dL/do_i and Z_i the
/// denominator, dN_i = g_i / Z_i and dz_i = -(g_i · o_i) / Z_i are the gradients of numerator and denominator, and
///
///   d(R_i φq_i) = S dN_i + Σ_j≤i (dN_i · v_j) R_j φk_j            dφq_i += dz_i z_i
///   d(R_j φk_j) = T v_j + Σ_i≥j (dN_i · v_j) R_i φq_i             dφk_j += Σ_i≥j dz_i φq_i
///   dv_j        = Tᵀ R_j φk_j + Σ_i≥j (R_i φq_i · R_j φk_j) dN_i
///
/// with S = Σ (R_j φk_j)ᵀ v_j over the chunks in front, T = Σ (R_i φq_i)ᵀ dN_i over those behind, and the sums written out over
/// the chunk. A first pass keeps S and z in front of every chunk, a second one walks the chunks from the last to the first. In
/// the full form S and T are over the whole sequence, and there are no triangles.
template <real S, class Policies>
struct linear_attend_backward_head {
  static constexpr bool causal = Policies::sums == key_sums::causal;
  static constexpr bool formula = !Policies::template by_rows<S>;  ///< of single numbers, with slopes

  const Policies& policies;
  head_shape shape;  ///< key_width: of the features
  Index key_width;   ///< of q and k
  Index key_head;
  index_range rows;  ///< of q, k, v and the outputs
  Index position;    ///< of the first of them
  view<S> dq, dk, dv;
  start dq_start, dk_start, dv_start;
  view<const S> dout, out, kept, q, k, v;

  /// A chunk's queries (of one head), keys and values, and what is behind it; names with `_t` are transposes.
  struct workspace {
    S *q, *q_slope, *dq, *dsums, *q_weighted;         // dN; dz φq, summed over heads
    S *k, *k_t, *k_slope, *dk, *v, *v_t, *dv;
    S *key_sums;                                      // z behind each key
    S *scores, *dscores;
    S* dx;                                            // of queries or keys themselves, where the map is one of rows

    workspace(scratch_layout<S>& room, head_shape shape, Index key_width) {
      const Index key = padded<S>(shape.key_width), value = padded<S>(shape.head_width), chunk = linear_chunk;
      for (S** one : {&q, &dq, &q_weighted, &k, &dk, &key_sums}) *one = room.take(chunk * key);
      for (S** one : {&q_slope, &k_slope}) *one = room.take(formula ? chunk * key : 0);
      dx = room.take(formula ? 0 : chunk * padded<S>(key_width));
      for (S** one : {&dsums, &v, &dv}) *one = room.take(chunk * value);
      for (S** one : {&scores, &dscores}) *one = room.take(chunk * chunk);
      k_t = room.take(shape.key_width * chunk), v_t = room.take(shape.head_width * chunk);
    }
  } work;

  /// What goes from chunk to chunk.
  struct sums {
    S* fronts;                     // Sᵀ (head_width × padded key_width) and z in front of each chunk, or of the sequence
    S *later, *later_t, *later_q;  // T, and Σ dz φq

    sums(scratch_layout<S>& room, head_shape shape, Index length) {
      const Index key = padded<S>(shape.key_width), value = padded<S>(shape.head_width);
      fronts = room.take((shape.head_width + 1) * key * (causal ? chunks_in(length) : 1));
      later = room.take(shape.key_width * value), later_t = room.take(shape.head_width * key), later_q = room.take(key);
    }
  } carry;

  static Index chunks_in(Index length) { return (length + linear_chunk - 1) / linear_chunk; }

  void begin() {
    std::fill_n(carry.fronts, front_size(), S(0));
    std::fill_n(carry.later, shape.key_width * value_stride(), S(0));
    std::fill_n(carry.later_t, shape.head_width * key_stride(), S(0));
    std::fill_n(carry.later_q, key_stride(), S(0));
  }

  /// First pass: the front of the chunk behind c, or more of the whole sequence's.
  void form_front(Index c) {
    const Index to = causal ? c + 1 : c;
    if (to == chunks_in(rows.size())) return;
    if constexpr (causal) std::copy_n(sums_t(c), front_size(), sums_t(to));
    take_keys(c, nullptr, key_sum(to));
    chunk_product(sums_t(to), key_stride(), shape.head_width, key_stride(), start::continued, part(c).size(),
                  as_columns<S>(work.v, value_stride()), work.k, key_stride());
  }

  /// Second pass of the causal form.
  void walk_back(Index c) {
    begin_keys(c);
    each_head(c);
    turn_later();
    finish_keys(c);
  }
  /// That of the full form: first all queries, then all keys.
  void each_head(Index c) {
    const Index group = shape.heads / shape.key_heads;
    for (Index head = key_head * group; head < (key_head + 1) * group; ++head) take_queries(c, head);
  }
  void all_keys(Index c) {
    if (c == 0) turn_later();
    begin_keys(c);
    finish_keys(c);
  }

 private:
  Index key_stride() const { return padded<S>(shape.key_width); }
  Index value_stride() const { return padded<S>(shape.head_width); }
  index_range part(Index c) const { return index_range{c * linear_chunk, (c + 1) * linear_chunk}.clipped({0, rows.size()}); }
  index_range rows_of(Index c) const { return {rows.first + part(c).first, rows.first + part(c).last}; }
  Index front_size() const { return (shape.head_width + 1) * key_stride(); }
  S* sums_t(Index c) const { return carry.fronts + (causal ? c : 0) * front_size(); }
  S* key_sum(Index c) const { return sums_t(c) + shape.head_width * key_stride(); }

  /// Features of a chunk's rows of one head, and in the second pass their slopes.
  void take_features(S* to, S* slopes, view<const S> x, Index c, Index head, side of) const {
    const view<const S> from = head_of(x, rows_of(c), head, key_width);
    if constexpr (formula) {
      if (slopes) return features_and_slopes(to, slopes, from);
    }
    policies.template features<S>(features_in(to, c), from, of);
  }
  void features_and_slopes(S* to, S* slopes, view<const S> from) const {
    for (Index i = 0; i < from.rows(); ++i) {
      fetch_next(from, i);
      for (Index j = 0; j < from.cols(); j += lanes<S>) {
        const Index count = from.cols() - j, at = i * key_stride() + j;
        const dual<pack<S>> y = policies.feature(dual<pack<S>>(pack<S>::load(from.row(i) + j, count), pack<S>(1)));
        y.value.store(to + at, count);
        y.slope.store(slopes + at, count);
      }
    }
  }
  view<S> features_in(S* x, Index c) const { return {x, part(c).size(), shape.key_width, key_stride()}; }

  /// The gradients of a chunk's queries or keys from those of their features, turned ones of which lie in `features`.
  void deliver_features(view<S> to, start how, S* gradients, S* slopes, S* features, view<const S> x, Index c, Index head,
                        side of) const {
    const view<S> there = head_of(to, rows_of(c), head, key_width);
    if constexpr (formula) {
      deliver(there, how, gradients, key_stride(), slopes);
    } else {
      turn(features, c, direction::backward);
      const Index stride = padded<S>(key_width);
      policies.feature.backward(view<S>(work.dx, there.rows(), key_width, stride), features_in(gradients, c),
                                view<const S>(features_in(features, c)), head_of(x, rows_of(c), head, key_width), of);
      deliver(there, how, work.dx, stride, nullptr);
    }
  }
  void take_keys(Index c, S* slopes, S* sum_before) {
    take_features(work.k, slopes, k, c, key_head, side::keys);
    running_sums(work.key_sums, sum_before, part(c).size(), key_stride(), work.k);
    turn(work.k, c, direction::forward);
    copy_rows<S>(work.v, value_stride(), head_of(v, rows_of(c), key_head, shape.head_width));
  }
  void turn(S* x, Index c, direction way) const {
    policies.template turned<S>(features_in(x, c), position + part(c).first, way);
  }

  /// A chunk's keys, and their gradients from the queries behind it.
  void begin_keys(Index c) {
    const Index keys = part(c).size();
    take_keys(c, work.k_slope, key_sum(c));
    if constexpr (causal) {
      pack_blocks_transposed<lanes<S>, S>(work.k_t, linear_chunk, {work.k, keys, shape.key_width, key_stride()}, 0);
      pack_blocks_transposed<lanes<S>, S>(work.v_t, linear_chunk, {work.v, keys, shape.head_width, value_stride()}, 0);
      std::fill_n(work.q_weighted, keys * key_stride(), S(0));
    }
    chunk_product(work.dk, key_stride(), keys, key_stride(), start::fresh, shape.head_width, as_rows<S>(work.v, value_stride()),
                  carry.later_t, key_stride());
    chunk_product(work.dv, value_stride(), keys, value_stride(), start::fresh, shape.key_width,
                  as_rows<S>(work.k, key_stride()), carry.later, value_stride());
  }

  void take_queries(Index c, Index head) {
    S dz[linear_chunk];
    const Index queries = part(c).size();
    take_features(work.q, work.q_slope, q, c, head, side::queries);
    take_output_gradients(c, head, dz);
    for (Index i = 0; i < queries; ++i)
      add_scaled(causal ? work.q_weighted + i * key_stride() : carry.later_q, dz[i], work.q + i * key_stride());
    turn(work.q, c, direction::forward);

    chunk_product(work.dq, key_stride(), queries, key_stride(), start::fresh, shape.head_width,
                  as_rows<S>(work.dsums, value_stride()), sums_t(c), key_stride());
    if constexpr (causal) within_chunk(queries);
    if (!causal || c > 0)
      chunk_product(carry.later_t, key_stride(), shape.head_width, key_stride(), start::continued, queries,
                    as_columns<S>(work.dsums, value_stride()), work.q, key_stride());

    turn(work.dq, c, direction::backward);
    for (Index i = 0; i < queries; ++i)
      add_scaled(work.dq + i * key_stride(), dz[i], causal ? work.key_sums + i * key_stride() : key_sum(0));
    deliver_features(dq, dq_start, work.dq, work.q_slope, work.q, q, c, head, side::queries);
  }

  /// dN and dz of a head's rows.
  void take_output_gradients(Index c, Index head, S* dz) {
    const auto g = head_of(dout, rows_of(c), head, shape.head_width), o = head_of(out, rows_of(c), head, shape.head_width);
    for (Index i = 0; i < g.rows(); ++i) {
      fetch_next(g, i), fetch_next(o, i);
      const pack<S> inverse(inverse_of(kept(rows_of(c).first + i, head)));
      pack<S> total(0);
      for (Index j = 0; j < g.cols(); j += lanes<S>) {
        const pack<S> d = pack<S>::load(g.row(i) + j, g.cols() - j) * inverse;
        d.store(work.dsums + i * value_stride() + j);
        total = fma(d, pack<S>::load(o.row(i) + j, o.cols() - j), total);
      }
      dz[i] = -sum(total);
    }
  }

  /// The triangles: what queries and keys of one chunk give one another.
  void within_chunk(Index n) {
    const Index key = key_stride(), value = value_stride();
    chunk_scores(work.scores, n, 0, shape.key_width, as_rows<S>(work.q, key), work.k_t);
    chunk_scores(work.dscores, n, 0, shape.head_width, as_rows<S>(work.dsums, value), work.v_t);
    chunk_product<extent::up_to_row>(work.dq, key, n, key, start::continued, 0, n, as_rows<S>(work.dscores, linear_chunk),
                                     work.k, key);
    chunk_product<extent::from_row>(work.dk, key, n, key, start::continued, 0, n, as_columns<S>(work.dscores, linear_chunk),
                                    work.q, key);
    chunk_product<extent::from_row>(work.dv, value, n, value, start::continued, 0, n, as_columns<S>(work.scores, linear_chunk),
                                    work.dsums, value);
  }

  void finish_keys(Index c) {
    turn(work.dk, c, direction::backward);
    for (Index i = part(c).size() - 1; i >= 0; --i) {
      if constexpr (causal) add_scaled(carry.later_q, S(1), work.q_weighted + i * key_stride());
      add_scaled(work.dk + i * key_stride(), S(1), carry.later_q);
    }
    deliver_features(dk, dk_start, work.dk, work.k_slope, work.k, k, c, key_head, side::keys);
    deliver(head_of(dv, rows_of(c), key_head, shape.head_width), dv_start, work.dv, value_stride(), nullptr);
  }

  /// T from its transpose, once a chunk's queries are in it.
  void turn_later() {
    pack_panel_transposed<S>(carry.later, value_stride(), {carry.later_t, shape.head_width, shape.key_width, key_stride()});
  }

  /// to += factor x, a row of features.
  void add_scaled(S* to, S factor, const S* x) const {
    for (Index j = 0; j < key_stride(); j += lanes<S>)
      fma(pack<S>(factor), pack<S>::load(x + j), pack<S>::load(to + j)).store(to + j);
  }

  /// to = or += slope · from.
  static void deliver(view<S> to, start how, const S* from, Index stride, const S* slopes) {
    for (Index i = 0; i < to.rows(); ++i) {
      fetch_next(to, i);
      for (Index j = 0; j < to.cols(); j += lanes<S>) {
        const Index count = to.cols() - j;
        pack<S> x = pack<S>::load(from + i * stride + j);
        if (slopes) x = x * pack<S>::load(slopes + i * stride + j);
        if (how == start::continued) x += pack<S>::load(to.row(i) + j, count);
        x.store(to.row(i) + j, count);
      }
    }
  }
};

/// The gradients of linear_attend_forward: dq, dk, dv from dout, with what the forward gave (out, kept).
///
/// Shapes    dq, dk, dv, dout as q, k, v, out; the others as in linear_attend_forward.
/// Numerics  bits depend on a sequence alone: not on the batch, the threads or alignment; a query's gradient only on the keys
///           it sees, a key's only on the queries that see it, NaN or not. Error ≤ 3 × the float recurrence's + 4 eps of the
///           parts a gradient is the sum of.
/// Cost      10 m · head_width operations per token and head, and 49 (3 m + 2 head_width) within the chunk, m features a key: S
///           is formed again. Memory for the sums in front of every chunk: m (head_width + 1) / 48 numbers a token and key
///           head, of the sequences that threads are at.
/// Throws    argument_error for shapes that do not fit.
/// Source    Katharopoulos et al., 2006.16236, section 3.3.1, by chunks.
template <real S, class Policies>
void linear_attend_backward(view<S> dq, view<S> dk, view<S> dv, const_view<S> dout, const_view<S> out, const_view<S> kept,
                            const_view<S> q, const_view<S> k, const_view<S> v, const sequences& batch, head_shape shape,
                            const Policies& policies, start dq_start = start::fresh, start dk_start = start::fresh,
                            start dv_start = start::fresh) {
  check_linear_attend<S>("linear_attend_backward", out, kept, q, k, v, batch, shape);
  check_linear_attend<S>("linear_attend_backward", dout, kept, dq, dk, dv, batch, shape);
  using one_head = linear_attend_backward_head<S, Policies>;
  scratch_layout<S> chunk, heads;
  const head_shape inner = policies.features_of(shape);
  typename one_head::workspace(chunk, inner, shape.key_width);
  typename one_head::sums(heads, inner, batch.longest());
  const Index carried = heads.used * heads_together(batch, shape.key_heads);
  const scratch<S> rooms(threads() * chunk.used), sums(threads() * carried);
  std::fill_n(rooms.data(), threads() * chunk.used, S(0));  // what is past a width stays 0
  each_group_of_heads(batch, shape.key_heads, [&](Index s, index_range key_heads) {
    scratch_layout<S> room{rooms.data() + thread_number() * chunk.used};
    const typename one_head::workspace work(room, inner, shape.key_width);
    const index_range rows{batch.first(s), batch.first(s + 1)};
    const auto every_head = [&](auto f) {
      scratch_layout<S> carries{sums.data() + thread_number() * carried};
      for (Index h = key_heads.first; h < key_heads.last; ++h) {
        one_head head{.policies = policies, .shape = inner, .key_width = shape.key_width, .key_head = h, .rows = rows,
                      .position = batch.start(s), .dq = dq, .dk = dk, .dv = dv, .dq_start = dq_start, .dk_start = dk_start,
                      .dv_start = dv_start,
                      .dout = dout, .out = out, .kept = kept, .q = q, .k = k, .v = v,
                      .work = work, .carry = {carries, inner, rows.size()}};
        f(head);
      }
    };
    const Index chunks = one_head::chunks_in(rows.size());
    every_head([](one_head& head) { head.begin(); });
    for (Index c = 0; c < chunks; ++c) every_head([=](one_head& head) { head.form_front(c); });
    if constexpr (one_head::causal) {
      for (Index c = chunks - 1; c >= 0; --c) every_head([=](one_head& head) { head.walk_back(c); });
    } else {
      for (Index c = 0; c < chunks; ++c) every_head([=](one_head& head) { head.each_head(c); });
      for (Index c = 0; c < chunks; ++c) every_head([=](one_head& head) { head.all_keys(c); });
    }
  });
}

}  // namespace formwork
