// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/parallel.hpp>
#include <formwork/kernel/attend_strip.hpp>
#include <formwork/kernel/score_sums.hpp>

namespace formwork::inline FORMWORK_ABI {

/// Keys that the backward holds at once, with the scores of a query_block.
inline constexpr Index backward_key_block = 192;
static_assert(backward_key_block % tile_cols<float> == 0 && backward_key_block % tile_cols<double> == 0);

/// Queries and keys of a head that are packed, or whose gradients are summed, at once: all of a few thousand, so that the
/// scratch of long sequences is little more than the sums of dq.
inline constexpr Index backward_queries = 2048, backward_keys = 8 * backward_key_block;
static_assert(backward_queries % query_block == 0);

/// The scratch of one thread: what every key block needs of some of a head's queries, packed once, and the gradients being
/// summed; then a block of keys with the weights and the scores' gradients of a block of queries.
template <number S>
struct attend_backward_room {
  Index used = 0;
  S *q_strips, *dout_strips, *q_rows, *dout_rows, *sums, *dq, *dk, *dv;
  S *k_panels, *v_panels, *k_rows, *weights, *dscores;

  /// Lays the arrays out from `base` on; without one, only counts `used`. So many heads' queries share the keys.
  attend_backward_room(S* base, head_shape shape, Index heads, Index queries, Index keys) {
    scratch_layout<S> room{base};
    const Index q = whole_strips(std::min(queries, backward_queries)), block = backward_key_block;
    const Index k = whole_strips(std::min(keys, backward_keys));
    const Index key = padded<S>(shape.key_width), value = padded<S>(shape.head_width);
    q_strips = room.take(q * key), dout_strips = room.take(q * value);
    q_rows = room.take(q * key), dout_rows = room.take(q * value);
    sums = room.take(q), dq = room.take(heads * whole_strips(queries) * key), dk = room.take(k * key), dv = room.take(k * value);
    k_panels = room.take(block * key), v_panels = room.take(block * value), k_rows = room.take(block * key);
    weights = room.take(query_block * block), dscores = room.take(query_block * block);
    used = room.used;
  }
};

/// The backward of some queries of one head against some keys: blocks of keys outside, blocks of queries inside. Scores and
/// weights are computed again; five products a tile, each element of each one chain:
///   S = q kᵀ,  dW = dO vᵀ,  dV += Wᵀ dO,  dq += dS k,  dK += dSᵀ q.
template <number S, class Policies>
struct attend_backward_queries {
  static constexpr Index stride = backward_key_block;
  static constexpr Index strips = query_block / strip_rows;
  static constexpr bool formula = !leaves_scores<std::remove_cvref_t<decltype(Policies::score)>>;
  static constexpr bool relative = is_relative<std::remove_cvref_t<decltype(Policies::columns)>>;
  using learning = score_sums<S, Policies>;
  using row_learned = learned_row<S, stride, learning>;

  const Policies& policies;
  head_shape shape;
  Index head;
  query_site first;            ///< of the queries
  Index row_of_first;  ///< in the batch
  view<const S> q, out, dout;  ///< this head's columns of the queries' rows
  view<const S> k, v;          ///< and of all its keys' rows
  index_range keys;            ///< those to meet
  const S *plain, *folded;     ///< row_factors
  const S* kept;               ///< of each query, kept_stride apart
  Index kept_stride;
  attend_backward_room<S> room;  ///< dq from the first query on, dk and dv from the first key on
  head_sums<S> sums;             ///< of what the scores learn

  Index q_stride() const { return padded<S>(shape.key_width); }
  Index v_stride() const { return padded<S>(shape.head_width); }
  Index part_width() const { return q_stride() / std::remove_cvref_t<decltype(policies.columns)>::parts; }

  /// Continues dq, dk and dv in the room.
  void run() {
    if (over(policies.mask, first, q.rows(), keys) == coverage::none) return;
    pack_all_queries();
    for (Index k0 = keys.first; k0 < keys.last; k0 += stride) {
      const index_range block{k0, std::min(k0 + stride, keys.last)};
      const bool keys_finite = pack_keys(block);
      for (Index q0 = 0; q0 < q.rows(); q0 += query_block) {
        const Index rows = std::min(query_block, q.rows() - q0);
        const coverage cover = over(policies.mask, site(q0), rows, block);
        if (cover != coverage::none) take(q0, rows, block, cover, keys_finite);
      }
    }
  }

 private:
  query_site site(Index i) const { return first.after(i); }
  /// This head's numbers by distance of query i.
  template <class T>
  T* of_row(view<T> numbers, Index i) const {
    return numbers.row(row_of_first + i) + head * policies.columns.width();
  }
  auto strip_at(Index q0, Index rows, index_range block) const {
    return strip_view<std::remove_cvref_t<decltype(policies.mask)>>{policies.mask, site(q0), rows, block};
  }

  void pack_all_queries() {
    S ones[strip_rows];
    std::fill_n(ones, strip_rows, S(1));
    for (Index i = 0; i < q.rows(); i += strip_rows) {
      const Index rows = std::min<Index>(strip_rows, q.rows() - i);
      pack_queries<S, strip_rows>(room.q_strips + i * shape.key_width, q.rows(i, rows), folded + i);
      pack_queries<S, strip_rows>(room.dout_strips + i * shape.head_width, dout.rows(i, rows), ones);
    }
    copy_padded<S>(room.q_rows, q_stride(), q);
    copy_padded<S>(room.dout_rows, v_stride(), dout);
    for (Index i = 0; i < q.rows(); ++i) {
      S* row = room.q_rows + i * q_stride();
      for (Index j = 0; j < q_stride(); j += lanes<S>) (pack<S>(plain[i]) * pack<S>::load(row + j)).store(row + j);
      room.sums[i] = row_sum(i);
    }
  }

  /// Σ_j weight · dweight = Σ_d dout · out.
  S row_sum(Index i) const {
    pack<S> total(0);
    const S* g = room.dout_rows + i * v_stride();
    for (Index j = 0; j < out.cols(); j += lanes<S>)
      total = fma(pack<S>::load(g + j), pack<S>::load(out.row(i) + j, out.cols() - j), total);
    return sum(total);
  }

  bool pack_keys(index_range block) {
    const auto ks = k.rows(block.first, block.size()), vs = v.rows(block.first, block.size());
    pack_key_panels<S>(room.k_panels, ks);
    pack_key_panels<S>(room.v_panels, vs);
    return copy_padded<S>(room.k_rows, q_stride(), ks);
  }

  /// A block of queries meets a block of keys.
  void take(Index q0, Index rows, index_range block, coverage block_cover, bool keys_finite) {
    index_range hulls[strips];
    const Index used = (rows + strip_rows - 1) / strip_rows;
    for (Index t = 0; t < used; ++t) {
      const Index r0 = t * strip_rows, count = std::min<Index>(strip_rows, rows - r0);
      const auto seen = strip_at(q0 + r0, count, block);
      const coverage cover = block_cover == coverage::all ? coverage::all : seen.cover();
      hulls[t] = seen.template hull<S>(cover);
      weigh_strip(q0, r0, seen, cover, block_cover, hulls[t]);
      if (cover == coverage::none) continue;
      each_part_of<S, strip_rows, stride>(
          policies.columns, room.dscores + r0 * stride, seen, hulls[t], [&](int part, index_range met, const S* ds) {
            S* dq = room.dq + (q0 + r0) * q_stride() + part * part_width();
            const S* rows_of_k = room.k_rows + part * part_width();
            if (cover == coverage::all || keys_finite)
              accumulate<S, strip_rows, stride, 1>(dq, part_width(), q_stride(), nullptr, met.size(), ds + met.first,
                                                  rows_of_k + met.first * q_stride());
            else
              accumulate_seen<S, stride>(dq, part_width(), q_stride(), nullptr, seen, ds, rows_of_k);
          });
    }
    if (block_cover != coverage::all && !queries_finite(q0, rows)) return key_gradients_pair_by_pair(q0, rows, block);
    const strip_hulls seen{hulls, used, rows};
    const Index key = block.first - keys.first;
    add_to_keys(room.dv + key * v_stride(), v_stride(), v_stride(), seen, {0, block.size()}, room.weights,
                room.dout_rows + q0 * v_stride());
    each_part_of<S, query_block, stride>(policies.columns, room.dscores, strip_at(q0, rows, block), {0, block.size()},
                                        [&](int part, index_range met, const S* ds) {
                                          add_to_keys(room.dk + key * q_stride() + part * part_width(), part_width(), q_stride(),
                                                      seen, met, ds, room.q_rows + q0 * q_stride() + part * part_width());
                                        });
  }

  /// Weights and the scores' gradients of one strip, zero where nothing is seen.
  void weigh_strip(Index q0, Index r0, const auto& seen, coverage cover, coverage block_cover, index_range hull) {
    const index_range in_use{hull.first, hull.first + padded<S>(hull.size())};
    if (cover != coverage::none) {
      score_seen<S, strip_rows, stride>(policies.columns, room.weights + r0 * stride, seen, hull,
                                       room.q_strips + (q0 + r0) * shape.key_width, room.k_panels, shape.key_width);
      score_strip<S, strip_rows, stride>(room.dscores + r0 * stride, hull,
                                        room.dout_strips + (q0 + r0) * shape.head_width, room.v_panels,
                                        shape.head_width, shape.head_width);
    }
    const auto& score_formula = at_head(policies.score, head, shape.heads);
    row_learned learned;
    for (Index i = 0; i < seen.queries; ++i) {
      S *w = room.weights + (r0 + i) * stride, *ds = room.dscores + (r0 + i) * stride;
      [[maybe_unused]] const Index query = q0 + r0 + i, distance = seen.block.first - (seen.first.position + i);
      if constexpr (relative) {
        add_relative<S>(w, in_use, policies.columns, of_row(policies.columns.scores, query), distance, folded[query]);
        add_relative<S>(ds, in_use, policies.columns, of_row(policies.columns.weight_gradients, query), distance, S(1));
      }
      for (Index j = in_use.first; j < in_use.last; j += lanes<S>)
        weigh(score_formula, w + j, ds + j, q0 + r0 + i, seen.block.first + j, learned, j);
      if constexpr (learning::any) {
        if (cover != coverage::all || in_use.last > hull.last)
          each_gap(seen.spans(i), in_use, [&](index_range gap) { learned.clear(gap); });
        learned.add_to(sums, in_use, distance);
        if constexpr (learning::factors) learned.add_factors_to(sums, in_use, distance);
      }
      if constexpr (relative) {
        each_gap(seen.spans(i), in_use, [=](index_range gap) { std::fill(ds + gap.first, ds + gap.last, S(0)); });
        sum_relative<S>(of_row(policies.columns.score_gradients, query), in_use, policies.columns, ds, distance);
      }
      if (block_cover == coverage::some)
        each_gap(seen.spans(i), {0, stride}, [=](index_range gap) {
          std::fill(w + gap.first, w + gap.last, S(0));
          std::fill(ds + gap.first, ds + gap.last, S(0));
        });
    }
  }

  /// A pack of scores becomes weights, a pack of weight gradients the scores' gradients. The keys are the row's from j on.
  FORMWORK_INLINE void weigh(const auto& score_formula, S* score, S* gradient, Index query, Index key, row_learned& learned,
                             Index j) const {
    using P = pack<S>;
    const Index position = first.position + query;
    P s = P::load(score), dw = P::load(gradient);
    dual<P, 1 + learning::numbers> bent(s);
    if constexpr (formula) {
      bent = bend<S, learning::numbers>(score_formula, s, position, key, head, shape.heads);
      s = bent.value * P(policies.weights.score_unit);
    }
    const saved_row<S> row{kept[query * kept_stride], room.sums[query]};
    const P w = policies.weights.weight(s, row), dfactor = w * dw;
    P used = w;
    if constexpr (learning::factors) {
      const P factor = P::load(policies.weights.factors.of(head) + key - position);
      used = w * factor, dw = dw * factor;
    }
    P ds = policies.weights.slope(s, w, dw, row);
    if constexpr (learning::any) learned.keep(j, bent, ds);
    if constexpr (learning::factors) dfactor.store(learned.factor + j);
    if constexpr (formula) ds = ds * bent.at(0);
    used.store(score);
    ds.store(gradient);
  }

  /// 0 · NaN is NaN: a query that is not finite must not reach keys it does not see.
  bool queries_finite(Index q0, Index rows) const {
    pack<S> probe(0);
    const auto look = [&](const S* x, Index count) {
      for (Index j = 0; j < count; j += lanes<S>) probe = fma(pack<S>::load(x + j), pack<S>(0), probe);
    };
    look(room.q_rows + q0 * q_stride(), rows * q_stride());
    look(room.dout_rows + q0 * v_stride(), rows * v_stride());
    return vanishes(sum(probe));
  }

  /// What the strips of a block of queries see of a block of keys.
  struct strip_hulls {
    const index_range* of;
    Index strips, rows;
  };

  /// to(j, :) += Σ_i weights(i, j) from(i, :), strip_rows keys at a time, from the strips that see any of them.
  void add_to_keys(S* to, Index width, Index row, const strip_hulls& seen, index_range met, const S* weights, const S* from) {
    for (Index j = met.first / strip_rows * strip_rows; j < met.last; j += strip_rows) {
      const auto misses = [&](Index t) { return seen.of[t].clipped({j, j + strip_rows}).empty(); };
      Index since = 0, until = seen.strips;
      while (since < until && misses(since)) ++since;
      while (since < until && misses(until - 1)) --until;
      const Index r0 = since * strip_rows, depth = std::min(until * strip_rows, seen.rows) - r0;
      if (depth > 0)
        accumulate<S, strip_rows, 1, stride>(to + j * row, width, row, nullptr, depth, weights + r0 * stride + j, from + r0 * row);
    }
  }
  void key_gradients_pair_by_pair(Index q0, Index rows, index_range block) {
    const auto seen = strip_at(q0, rows, block);
    for (Index i = 0; i < rows; ++i)
      for (const index_range span : seen.spans(i))
        for (Index j = span.first; j < span.last; ++j) {
          const Index key = block.first - keys.first + j;
          accumulate<S, 1, 1, stride>(room.dv + key * v_stride(), v_stride(), v_stride(), nullptr, 1, room.weights + i * stride + j,
                                      room.dout_rows + (q0 + i) * v_stride());
          const Index column = part_of(policies.columns, seen, i, j) * part_width();
          accumulate<S, 1, 1, stride>(room.dk + key * q_stride() + column, part_width(), q_stride(), nullptr, 1,
                                      room.dscores + i * stride + j, room.q_rows + (q0 + i) * q_stride() + column);
        }
  }
};

/// to (rows × cols) = or += factor[i] from, whose rows are `stride` apart; + 0 gives a sum of nothing but -0 one sign.
template <number S>
void deliver_gradient(view<S> to, start how, const S* from, Index stride, const S* factor) {
  for (Index i = 0; i < to.rows(); ++i)
    for (Index j = 0; j < to.cols(); j += lanes<S>) {
      const Index count = to.cols() - j;
      pack<S> x = pack<S>::load(from + i * stride + j);
      if (factor) x = x * pack<S>(factor[i]);
      x += how == start::fresh ? pack<S>(0) : pack<S>::load(to.row(i) + j, count);
      x.store(to.row(i) + j, count);
    }
}

/// The gradients of attend_forward: dq, dk, dv from dout, with what the forward gave (out, kept).
///
/// Shapes    dq, dk, dv, dout as q, k, v, out; dlearned as what the scores learn; the others as in attend_forward.
/// Numerics  bits depend on a sequence alone: not on the batch, the threads or alignment; a query's gradient only on the keys
///           it sees, a key's only on the queries that see it, NaN or not. Error ≤ 3 × a naive float loop's + 4 eps.
/// Cost      2.5 times the forward's operations; per thread dq of the heads on one key head, of the longest sequence, and 3 MB.
/// Throws    argument_error for shapes that do not fit.
/// Source    Dao et al., 2205.14135; Σ weight · dweight = Σ dout · out.
template <number S, class Policies>
  requires separate_heads<decltype(Policies::heads)>
void attend_backward(view<S> dq, view<S> dk, view<S> dv, const_view<S> dout, const_view<S> out, const_view<S> kept,
                     const_view<S> q, const_view<S> k, const_view<S> v, const sequences& batch,
                     const sequences& key_batch, head_shape shape, const Policies& policies,
                     start dq_start = start::fresh, start dk_start = start::fresh, start dv_start = start::fresh,
                     score_gradients<S> dlearned = {}) {
  check_attend<S>("attend_backward", out, kept, q, batch, shape, policies.heads, policies.columns);
  check_attend<S>("attend_backward", dout, kept, dq, batch, shape, policies.heads, policies.columns);
  check_keys<S>("attend_backward", k, v, key_batch, shape);
  check_keys<S>("attend_backward", dk, dv, key_batch, shape);
  const row_factors<S> factors(
      batch, [&](Index s) { return key_batch.length(s); }, shape, policies);

  Index sharing = 0;  // the most heads on one key head
  for (Index key_head = 0; key_head < shape.key_heads; ++key_head) {
    Index heads = 0;
    for (Index h = 0; h < shape.heads; ++h) heads += policies.heads.key_head(h, shape) == key_head;
    sharing = std::max(sharing, heads);
  }
  const Index size = attend_backward_room<S>(nullptr, shape, sharing, batch.longest(), key_batch.longest()).used;
  const scratch<S> rooms(threads() * size);
  score_sums<S, Policies> sums_of_scores(dlearned, policies, batch, key_batch, shape, batch.count(), [](Index s) { return s; });
  parallel_for(batch.count() * shape.key_heads, [&](Index task) {
    const Index s = task / shape.key_heads, key_head = task % shape.key_heads;
    const Index row = batch.first(s), rows = batch.length(s), key_row = key_batch.first(s), keys = key_batch.length(s);
    const auto keys_of = [=](auto m, Index width) { return m.rows(key_row, keys).cols(key_head * width, width); };

    attend_backward_room<S> room(rooms.data() + thread_number() * size, shape, sharing, rows, keys);
    const Index key_stride = padded<S>(shape.key_width), value_stride = padded<S>(shape.head_width);
    const Index dq_size = whole_strips(rows) * key_stride;
    S* const dq_of_heads = room.dq;
    const auto each_head = [&](auto f) {  // f(head, its sums of dq)
      S* sums = dq_of_heads;
      for (Index head = 0; head < shape.heads; ++head)
        if (policies.heads.key_head(head, shape) == key_head) f(head, sums), sums += dq_size;
    };
    each_head([&](Index, S* sums) { std::fill_n(sums, dq_size, S(0)); });
    const auto each_relative = [&](Index head, auto f) {  // f(columns, a row's gradients of scores by distance, row)
      if constexpr (is_relative<std::remove_cvref_t<decltype(policies.columns)>>)
        for (Index i = row; i < row + rows; ++i)
          f(policies.columns, policies.columns.score_gradients.row(i) + head * policies.columns.width(), i);
    };
    each_head([&](Index head, S*) {
      each_relative(head, [](const auto& columns, S* by_distance, Index) { std::fill_n(by_distance, columns.width(), S(0)); });
    });
    for (Index k0 = 0; k0 < keys; k0 += backward_keys) {
      const index_range some{k0, std::min(k0 + backward_keys, keys)};
      std::fill_n(room.dk, some.size() * key_stride, S(0));
      std::fill_n(room.dv, some.size() * value_stride, S(0));
      each_head([&](Index head, S* sums) {
        for (Index q0 = 0; q0 < rows; q0 += backward_queries) {
          const Index count = std::min(backward_queries, rows - q0), from = row + q0;
          const auto queries_of = [=](auto m, Index width) { return m.rows(from, count).cols(head * width, width); };
          room.dq = sums + q0 * key_stride;
          attend_backward_queries<S, Policies>{.policies = policies,
                                               .shape = shape,
                                               .head = head,
                                               .first = {batch.start(s) + q0, keys, s, head, shape.heads},
                                               .row_of_first = from,
                                               .q = queries_of(q, shape.key_width),
                                               .out = queries_of(out, shape.head_width),
                                               .dout = queries_of(dout, shape.head_width),
                                               .k = keys_of(k, shape.key_width),
                                               .v = keys_of(v, shape.head_width),
                                               .keys = some,
                                               .plain = factors.plain_of(head) + from,
                                               .folded = factors.folded_of(head) + from,
                                               .kept = kept.row(from) + head,
                                               .kept_stride = kept.stride(),
                                               .room = room,
                                               .sums = sums_of_scores.of(s, head)}
              .run();
        }
      });
      const auto deliver = [&](view<S> all, Index width, start how, const S* sums, Index stride) {
        deliver_gradient<S>(keys_of(all, width).rows(some.first, some.size()), how, sums, stride, nullptr);
      };
      deliver(dk, shape.key_width, dk_start, room.dk, key_stride);
      deliver(dv, shape.head_width, dv_start, room.dv, value_stride);
    }
    each_head([&](Index head, const S* sums) {
      each_relative(head, [&](const auto& columns, S* by_distance, Index i) {
        scale_relative<S>(by_distance, columns, factors.plain_of(head)[i]);
      });
      deliver_gradient<S>(dq.rows(row, rows).cols(head * shape.key_width, shape.key_width), dq_start, sums, key_stride,
                          factors.plain_of(head) + row);
    });
  });
  sums_of_scores.deliver();
}

}  // namespace formwork
