// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/parallel.hpp>
#include <formwork/kernel/attend_strip.hpp>

namespace formwork::inline FORMWORK_ABI {

/// The forward of some queries of one head, to which blocks of keys come in order: begin, take each, finish. Its scratch: the
/// strips of queries, the sums of weighted values.
template <number S, int Rows, class Policies>
struct attend_forward_queries {
  using row = typename std::remove_cvref_t<decltype(Policies::weights)>::template row<S>;

  const Policies& policies;
  head_shape shape;
  Index head;
  query_site first;  ///< of the queries
  Index row_of_first;  ///< in the batch
  view<const S> q;   ///< (queries × key_width)
  const S* factor;   ///< of each query
  S* strip;          ///< [strip][d][Rows]
  S* sum;            ///< (queries × padded head_width), rows up to whole strips
  row* state;        ///< of each query, up to whole strips

  void begin() {
    for (Index t = 0; t < used(); ++t)
      pack_queries<S, Rows>(strip + t * Rows * shape.key_width, q.rows(t * Rows, rows_of(t)), factor + t * Rows);
    for (Index i = 0; i < used() * Rows; ++i) state[i] = policies.weights.template begin<S>(policies.mask.count(site(i)));
    std::fill_n(sum, used() * Rows * stride(), S(0));
    if constexpr (relative)
      for (Index i = 0; i < q.rows(); ++i) std::fill_n(of_row(policies.columns.weight_sums, i), policies.columns.width(), S(0));
  }

  /// Whether any query sees any of these keys.
  bool sees(index_range keys) const { return over(policies.mask, first, q.rows(), keys) != coverage::none; }

  void take(index_range block, const key_value_block<S>& keys) {
    for (Index q0 = 0; q0 < q.rows(); q0 += query_block) {
      const Index end = std::min(q0 + query_block, q.rows());
      if (over(policies.mask, site(q0), end - q0, block) == coverage::none) continue;
      for (Index t = q0 / Rows; t * Rows < end; ++t)
        take(strip_view<std::remove_cvref_t<decltype(policies.mask)>>{policies.mask, site(t * Rows), rows_of(t), block}, t, keys);
    }
  }

  void finish(view<S> out, S* kept, Index kept_stride) const {
    for (Index i = 0; i < q.rows(); ++i) {
      const finished_row<S> done = policies.weights.finish(state[i]);
      const S* from = sum + i * stride();
      for (Index j = 0; j < out.cols(); j += lanes<S>)  // + 0: a sum of nothing but -0 has one sign
        (pack<S>(done.factor) * pack<S>::load(from + j) + pack<S>(0)).store(out.row(i) + j, out.cols() - j);
      if (kept) kept[i * kept_stride] = done.kept;
      if constexpr (relative) scale_relative<S>(of_row(policies.columns.weight_sums, i), policies.columns, done.factor);
    }
  }

 private:
  static constexpr bool relative = is_relative<std::remove_cvref_t<decltype(Policies::columns)>>;

  /// This head's numbers by distance of query i.
  template <class T>
  T* of_row(view<T> numbers, Index i) const {
    return numbers.row(row_of_first + i) + head * policies.columns.width();
  }

  Index stride() const { return padded<S>(shape.head_width); }
  Index used() const { return (q.rows() + Rows - 1) / Rows; }
  Index rows_of(Index t) const { return std::min<Index>(Rows, q.rows() - t * Rows); }
  query_site site(Index i) const { return first.after(i); }

  /// One strip meets one block of keys: scores, formula, mask, weights, values.
  void take(const auto& seen, Index t, const key_value_block<S>& keys) {
    const coverage cover = seen.cover();
    if (cover == coverage::none) return;
    const index_range hull = seen.template hull<S>(cover);
    const index_range lanes_in_use{hull.first, hull.first + padded<S>(hull.size())};
    alignas(64) S scores[Rows * key_block];
    alignas(64) S rescale[Rows];

    score_seen<S, Rows, key_block>(policies.columns, scores, seen, hull, strip + t * Rows * shape.key_width, keys.panels,
                                   shape.key_width);
    [[maybe_unused]] const auto distance = [&](Index i) { return seen.block.first - (seen.first.position + i); };
    if constexpr (relative)
      for (Index i = 0; i < seen.queries; ++i)
        add_relative<S>(scores + i * key_block, lanes_in_use, policies.columns, of_row(policies.columns.scores, t * Rows + i),
                        distance(i), factor[t * Rows + i]);
    if constexpr (!leaves_scores<std::remove_cvref_t<decltype(policies.score)>>)
      for (Index i = 0; i < seen.queries; ++i)
        apply_formula<S>(policies, scores + i * key_block, lanes_in_use, seen.block.first, seen.first.position + i,
                         head, shape.heads);
    if (cover == coverage::some || lanes_in_use.last > hull.last)
      for (Index i = 0; i < seen.queries; ++i)
        each_gap(seen.spans(i), lanes_in_use, [row = scores + i * key_block](index_range gap) {
          std::fill(row + gap.first, row + gap.last, -std::numeric_limits<real_of<S>>::infinity());
        });
    for (Index i = 0; i < Rows; ++i)
      rescale[i] = policies.weights.step(state[t * Rows + i], scores + i * key_block + hull.first, lanes_in_use.size() / lanes<S>);
    if constexpr (has_factors<std::remove_cvref_t<decltype(policies.weights)>>)
      for (Index i = 0; i < seen.queries; ++i)
        multiply_by<S>(scores + i * key_block, lanes_in_use,
                       policies.weights.factors.of(head) + distance(i));
    if constexpr (relative)
      for (Index i = 0; i < seen.queries; ++i) {
        S* sums = of_row(policies.columns.weight_sums, t * Rows + i);
        scale_relative<S>(sums, policies.columns, rescale[i]);
        sum_relative<S>(sums, lanes_in_use, policies.columns, scores + i * key_block, distance(i));
      }

    S* to = sum + t * Rows * stride();
    if (cover == coverage::all || keys.finite)
      accumulate<S, Rows, key_block, 1>(to, stride(), stride(), rescale, hull.size(), scores + hull.first,
                                        keys.values + hull.first * stride());
    else
      accumulate_seen<S, key_block>(to, stride(), stride(), rescale, seen, scores, keys.values);
  }
};

/// Queries that share each block of keys while it is in the second-level cache.
inline constexpr Index queries_together = 512;

/// attend_forward with keys(sequence, key head, range, room), the keys and values of a range within one key_block; it may pack
/// them in the room, which holds `room_size` numbers.
template <number S, class Policies, class Keys>
void attend_forward_to(view<S> out, view<S> kept, const_view<S> q, const sequences& batch, const auto& key_count,
                       head_shape shape, const Policies& policies, Index room_size, const Keys& keys) {
  const row_factors<S> factors(batch, key_count, shape, policies);
  // Where threads would wait for the last ones, fewer queries share: each row's bits are its own.
  const Index rows_of_heads = batch.count() * shape.heads * batch.longest();
  const Index together = threads() == 1 ? queries_together
                                        : std::clamp<Index>(rows_of_heads / (8 * threads()) / query_block * query_block,
                                                            query_block, queries_together);
  const Index most = std::min(together, whole_strips(batch.longest())), key = padded<S>(shape.key_width);
  const Index size = most * (key + padded<S>(shape.head_width)) + room_size;
  const scratch<S> rooms(threads() * size);

  const auto run = [&]<int Rows>(std::integral_constant<int, Rows>, Index s, Index head, index_range rows, S* room) {
    using queries = attend_forward_queries<S, Rows, Policies>;
    typename queries::row state[Rows == 1 ? 1 : queries_together];
    const Index row = batch.first(s) + rows.first, key_head = policies.heads.key_head(head, shape);
    queries mine{.policies = policies,
                 .shape = shape,
                 .head = head,
                 .first = {batch.start(s) + rows.first, key_count(s), s, head, shape.heads},
                 .row_of_first = row,
                 .q = q.rows(row, rows.size()).cols(head * shape.key_width, shape.key_width),
                 .factor = factors.folded_of(head) + row,
                 .strip = room + room_size,
                 .sum = room + room_size + most * key,
                 .state = state};
    mine.begin();
    for (Index k0 = 0; k0 < key_count(s); k0 += key_block) {
      const index_range block{k0, std::min(k0 + key_block, key_count(s))};
      if (mine.sees(block)) mine.take(block, keys(s, key_head, block, room));
    }
    mine.finish(out.rows(row, rows.size()).cols(head * shape.head_width, shape.head_width),
                kept.data() ? kept.row(row) + head : nullptr, kept.stride());
  };
  const Index blocks = (batch.longest() + together - 1) / together;
  parallel_for(batch.count() * shape.heads * blocks, [&](Index task) {
    const Index b = blocks - 1 - task % blocks, head = task / blocks % shape.heads, s = task / blocks / shape.heads;
    const index_range rows{b * together, std::min((b + 1) * together, batch.length(s))};
    S* mine = rooms.data() + thread_number() * size;
    if (rows.size() == 1)
      run(std::integral_constant<int, 1>(), s, head, rows, mine);
    else if (!rows.empty())
      run(std::integral_constant<int, strip_rows>(), s, head, rows, mine);
  });
}

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
template <number S, class Policies>
  requires separate_heads<decltype(Policies::heads)>
void attend_forward(view<S> out, view<S> kept, const_view<S> q, const key_value_cache<S>& cache, const sequences& batch,
                    head_shape shape, const Policies& policies) {
  check_attend<S>("attend_forward", out, kept, q, batch, shape, policies.heads, policies.columns);
  require(cache.count() == batch.count(), "attend_forward: ", batch.count(), " sequences of queries but ",
          cache.count(), " of keys; needs as many");
  attend_forward_to(out, kept, q, batch, [&](Index s) { return cache.length(s); }, shape, policies, 0,
                    [&](Index s, Index head, index_range keys, S*) { return cache.block(s, head, head, keys.first); });
}

/// The same for whole sequences, whose keys and values are rows beside the queries.
///
/// Shapes    k (key rows × key_heads · key_width), v (key rows × value_heads · head_width); key_batch is the queries' own
///           batch, but for attention to other sequences.
template <number S, class Policies>
void attend_forward(view<S> out, view<S> kept, const_view<S> q, const_view<S> k, const_view<S> v,
                    const sequences& batch, const sequences& key_batch, head_shape shape, const Policies& policies) {
  check_attend<S>("attend_forward", out, kept, q, batch, shape, policies.heads, policies.columns);
  check_keys<S>("attend_forward", k, v, key_batch, shape);
  if constexpr (separate_heads<decltype(policies.heads)>) {
    const Index values_at = key_block * padded<S>(shape.key_width), stride = padded<S>(shape.head_width);
    attend_forward_to(out, kept, q, batch, [&](Index s) { return key_batch.length(s); }, shape, policies,
                      key_block * (padded<S>(shape.key_width) + stride),
                      [&](Index s, Index head, index_range keys, S* room) -> key_value_block<S> {
                        const auto of = [&](const_view<S> m, Index width) {
                          return m.rows(key_batch.first(s) + keys.first, keys.size()).cols(head * width, width);
                        };
                        pack_key_panels<S>(room, of(k, shape.key_width));
                        return {room, room + values_at, copy_padded<S>(room + values_at, stride, of(v, shape.head_width))};
                      });
  } else {
    attend_forward(out, kept, q, key_value_cache<S>(k, v, key_batch, shape), batch, shape, policies);
  }
}

}  // namespace formwork
