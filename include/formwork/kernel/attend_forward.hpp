// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/parallel.hpp>
#include <formwork/kernel/attend_strip.hpp>

namespace formwork::inline FORMWORK_ABI {

/// The forward of one block of queries of one head. Its scratch: the strips of queries, the sums of weighted values.
template <real S, int Rows, class Policies>
struct attend_forward_block {
  static constexpr Index strips = (query_block + Rows - 1) / Rows;
  using row = typename std::remove_cvref_t<decltype(Policies::weights)>::template row<S>;

  const Policies& policies;
  head_shape shape;
  Index head;
  const S* panels;          ///< of the keys it reads
  cached_values<S> values;  ///< it reads
  query_site first;         ///< of the block's queries
  view<const S> q;          ///< (queries × key_width)
  const S* factor;          ///< of each query
  S* strip;                 ///< [strip][d][Rows]
  S* sum;                   ///< (queries × values.stride), rows up to whole strips

  static Index scratch_size(head_shape shape) {
    return query_block * (padded<S>(shape.key_width) + padded<S>(shape.head_width));
  }

  void run(view<S> out, S* kept, Index kept_stride) {
    row state[query_block];
    const Index queries = q.rows(), used = (queries + Rows - 1) / Rows;
    for (Index t = 0; t < used; ++t) {
      const Index rows = std::min<Index>(Rows, queries - t * Rows);
      pack_queries<S, Rows>(strip + t * Rows * shape.key_width, q.rows(t * Rows, rows), factor + t * Rows);
    }
    for (Index i = 0; i < used * Rows; ++i) state[i] = policies.weights.template begin<S>(policies.mask.count(site(i)));
    std::fill_n(sum, used * Rows * values.stride, S(0));

    for (Index k0 = 0; k0 < first.keys; k0 += key_block) {
      const index_range block{k0, std::min(k0 + key_block, first.keys)};
      if (over(policies.mask, first, queries, block) == coverage::none) continue;
      for (Index t = 0; t < used; ++t) {
        const Index rows = std::min<Index>(Rows, queries - t * Rows);
        take(strip_view<std::remove_cvref_t<decltype(policies.mask)>>{policies.mask, site(t * Rows), rows, block}, t,
             state + t * Rows);
      }
    }

    for (Index i = 0; i < queries; ++i) {
      const finished_row<S> done = policies.weights.finish(state[i]);
      const S* from = sum + i * values.stride;
      for (Index j = 0; j < out.cols(); j += lanes<S>)  // + 0: a sum of nothing but -0 has one sign
        (pack<S>(done.factor) * pack<S>::load(from + j) + pack<S>(0)).store(out.row(i) + j, out.cols() - j);
      if (kept) kept[i * kept_stride] = done.kept;
    }
  }

 private:
  query_site site(Index i) const { return {first.position + i, first.keys, first.sequence}; }

  /// One strip meets one block of keys: scores, formula, mask, weights, values.
  void take(const auto& seen, Index t, row* state) {
    const coverage cover = seen.cover();
    if (cover == coverage::none) return;
    const index_range hull = seen.template hull<S>(cover);
    const index_range lanes_in_use{hull.first, hull.first + padded<S>(hull.size())};
    alignas(64) S scores[Rows * key_block];
    alignas(64) S rescale[Rows];

    score_strip<S, Rows, key_block>(scores, hull, strip + t * Rows * shape.key_width,
                                    panels + seen.block.first * shape.key_width, shape.key_width);
    if constexpr (!leaves_scores<std::remove_cvref_t<decltype(policies.score)>>)
      for (Index i = 0; i < seen.queries; ++i)
        apply_formula<S>(policies, scores + i * key_block, lanes_in_use, seen.block.first, seen.first.position + i, head, shape.heads);
    if (cover == coverage::some || lanes_in_use.last > hull.last)
      for (Index i = 0; i < seen.queries; ++i)
        each_gap(seen.spans(i), lanes_in_use, [row = scores + i * key_block](index_range gap) {
          std::fill(row + gap.first, row + gap.last, -std::numeric_limits<S>::infinity());
        });
    for (Index i = 0; i < Rows; ++i)
      rescale[i] = policies.weights.step(state[i], scores + i * key_block + hull.first, lanes_in_use.size() / lanes<S>);

    S* to = sum + t * Rows * values.stride;
    const S* rows = values.rows + seen.block.first * values.stride;
    if (cover == coverage::all || values.finite[seen.block.first / key_block])
      accumulate<S, Rows, key_block, 1>(to, values.stride, rescale, hull.size(), scores + hull.first,
                                        rows + hull.first * values.stride);
    else
      accumulate_seen<S, key_block>(to, values.stride, rescale, seen, scores, rows);
  }

};

/// out = softmax(formula(scale q kᵀ)) v for the keys each query sees, head by head, without ever holding the scores: blocks
/// of keys stream by, each row keeps its largest score and its sum (or what its weights policy keeps).
///
/// Shapes    q (rows × heads · key_width), the cache's keys and values, out (rows × heads · head_width), kept (rows × heads)
///           or empty. Query r of sequence s has position batch.start(s) + r.
/// Units     kept is the natural log-sum-exp of the row's scores for softmax, -inf for a row that sees nothing; its output is
///           zero.
/// Numerics  bits depend on a row's own query and the keys it sees: not on the batch, the threads, alignment, what is masked
///           (NaN included), or on how the keys came into the cache. Error ≤ 2 × a naive float loop's + 4 eps.
/// Cost      2 (key_width + head_width) operations a visible pair, and one power of two.
/// Throws    argument_error for shapes that do not fit.
/// Source    Dao et al., 2205.14135; Milakov and Gimelshein, 1805.02867.
template <real S, class Policies>
  requires separate_heads<decltype(Policies::heads)>
void attend_forward(view<S> out, view<S> kept, const_view<S> q, const key_value_cache<S>& cache, const sequences& batch,
                    head_shape shape, const Policies& policies) {
  check_attend<S>("attend_forward", out, kept, q, batch, shape, policies.heads);
  require(cache.count() == batch.count(), "attend_forward: ", batch.count(), " sequences of queries but ",
          cache.count(), " of keys; needs as many");
  const row_factors<S> factors(
      batch, [&](Index s) { return cache.length(s); }, shape, policies);
  const auto run = [&]<int Rows>(std::integral_constant<int, Rows>, Index s, Index head, index_range rows, S* room) {
    const Index row = batch.first(s) + rows.first;
    attend_forward_block<S, Rows, Policies> block{
        .policies = policies,
        .shape = shape,
        .head = head,
        .panels = cache.panels(s, policies.heads.key_head(head, shape)),
        .values = cache.values(s, policies.heads.key_head(head, shape)),
        .first = {batch.start(s) + rows.first, cache.length(s), s},
        .q = q.rows(row, rows.size()).cols(head * shape.key_width, shape.key_width),
        .factor = factors.folded.data() + row,
        .strip = room,
        .sum = room + query_block * padded<S>(shape.key_width)};
    block.run(out.rows(row, rows.size()).cols(head * shape.head_width, shape.head_width),
              kept.data() ? kept.row(row) + head : nullptr, kept.stride());
  };

  const Index room = attend_forward_block<S, strip_rows, Policies>::scratch_size(shape);
  const scratch<S> rooms(threads() * room);
  const Index blocks = (batch.longest() + query_block - 1) / query_block;
  parallel_for(batch.count() * shape.heads * blocks, [&](Index task) {
    const Index b = blocks - 1 - task % blocks, head = task / blocks % shape.heads, s = task / blocks / shape.heads;
    const index_range rows{b * query_block, std::min((b + 1) * query_block, batch.length(s))};
    S* mine = rooms.data() + thread_number() * room;
    if (rows.size() == 1)
      run(std::integral_constant<int, 1>(), s, head, rows, mine);
    else if (!rows.empty())
      run(std::integral_constant<int, strip_rows>(), s, head, rows, mine);
  });
}

/// The same for whole sequences, whose keys and values are rows beside the queries.
///
/// Shapes    k (key rows × key_heads · key_width), v (key rows × value_heads · head_width); key_batch is the queries' own batch,
///           but for attention to other sequences.
template <real S, class Policies>
void attend_forward(view<S> out, view<S> kept, const_view<S> q, const_view<S> k, const_view<S> v,
                    const sequences& batch, const sequences& key_batch, head_shape shape, const Policies& policies) {
  check_attend<S>("attend_forward", out, kept, q, batch, shape, policies.heads);
  check_keys<S>("attend_forward", k, v, key_batch, shape);
  attend_forward(out, kept, q, key_value_cache<S>(k, v, key_batch, shape), batch, shape, policies);
}

}  // namespace formwork
