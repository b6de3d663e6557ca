// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/observer.hpp>
#include <formwork/core/parallel.hpp>
#include <formwork/kernel/attend_mixed_forward.hpp>
#include <formwork/kernel/attend_strip.hpp>

#include <array>
#include <tuple>
#include <utility>

namespace formwork::inline FORMWORK_ABI {

/// The scratch of one thread: a strip's queries, the scores of its query heads against a block of keys, those of its heads where
/// heads mix, and a block of keys where they are not packed yet.
template <real S>
struct attend_observe_room {
  Index used = 0;
  S *queries, *tile, *mixed, *panels;

  /// Lays the arrays out from `base` on; without one, only counts `used`.
  template <int Rows>
  attend_observe_room(std::integral_constant<int, Rows>, S* base, head_shape shape, bool mixes) {
    scratch_layout<S> room{base};
    const Index together = mixes ? shape.query_heads : 1;
    queries = room.take(together * Rows * shape.key_width);
    tile = room.take(together * head_step<S, Rows>);
    mixed = mixes ? room.take(shape.heads * head_step<S, Rows>) : tile;
    panels = room.take(mixed_key_block * shape.key_width);
    used = room.used;
  }
};

/// Observers of one strip of queries, of one head or of all heads where they mix, to which blocks of keys come in order.
template <real S, int Rows, class Policies, class Observers>
struct attend_observe_strip;
template <real S, int Rows, class Policies, class... Observer>
struct attend_observe_strip<S, Rows, Policies, std::tuple<Observer...>> {
  static constexpr Index stride = mixed_key_block, step = head_step<S, Rows>;
  static constexpr bool mixes = mixes_heads<decltype(Policies::heads)>;
  using row = std::tuple<observed_row<Observer, S>...>;
  using numbers = std::array<view<S>, sizeof...(Observer)>;

  const Policies& policies;
  const std::tuple<Observer...>& observers;
  head_shape shape;
  index_range heads;    ///< of the strip
  query_site first;     ///< of the queries
  Index row_of_first;   ///< in the batch
  view<const S> q;      ///< (queries × query_heads · key_width)
  const S* factor;      ///< of each query
  view<const S> kept;   ///< (queries × heads)
  attend_observe_room<S> room;
  row* state;           ///< [head of the strip][Rows]

  static row fresh(const std::tuple<Observer...>& observers) {
    return std::apply([](const auto&... o) { return row(o.template begin<S>()...); }, observers);
  }

  /// panels(key head, block) gives the panels of a block of keys.
  void run(const numbers& seen, const auto& panels) {
    begin();
    each_seen_block<stride>(policies.mask, first, q.rows(),
                            [&](const auto& block, coverage cover) { take(block, cover, panels); });
    for (Index h = heads.first; h < heads.last; ++h)
      for (Index i = 0; i < q.rows(); ++i)
        each_observer([&](auto n, const auto& o) { seen[n](row_of_first + i, h) = o.finish(std::get<n>(state_of(h, i))); });
  }

 private:
  row& state_of(Index h, Index i) const { return state[(h - heads.first) * Rows + i]; }
  index_range query_heads() const { return mixes ? index_range{0, shape.query_heads} : heads; }
  Index key_head(Index a) const {
    if constexpr (mixes)
      return a;
    else
      return policies.heads.key_head(a, shape);
  }
  template <class F>
  void each_observer(F f) const {
    [&]<std::size_t... n>(std::index_sequence<n...>) {
      (f(std::integral_constant<std::size_t, n>(), std::get<n>(observers)), ...);
    }(std::index_sequence_for<Observer...>());
  }

  void begin() {
    const index_range mine = query_heads();
    for (Index a = mine.first; a < mine.last; ++a)
      pack_queries<S, Rows>(room.queries + (a - mine.first) * Rows * shape.key_width,
                            q.cols(a * shape.key_width, shape.key_width), factor);
    std::fill_n(state, heads.size() * Rows, fresh(observers));
  }

  /// Scores, mixed where heads mix, bent, masked; each row's packs go to the observers.
  void take(const auto& seen, coverage cover, const auto& panels) {
    const index_range hull = seen.template hull<S>(cover), mine = query_heads();
    const index_range in_use{hull.first, hull.first + padded<S>(hull.size())};
    for (Index a = mine.first; a < mine.last; ++a)
      score_seen<S, Rows, stride>(policies.columns, room.tile + (a - mine.first) * step, seen, hull,
                                  room.queries + (a - mine.first) * Rows * shape.key_width, panels(key_head(a), seen.block),
                                  shape.key_width);
    for (Index i = 0; i < q.rows(); ++i) {
      const key_spans spans = seen.spans(i);
      if constexpr (is_relative<std::remove_cvref_t<decltype(policies.columns)>>)
        for (Index a = mine.first; a < mine.last; ++a)
          add_relative<S>(room.tile + (a - mine.first) * step + i * stride, in_use, policies.columns,
                          policies.columns.scores.row(row_of_first + i) + a * policies.columns.width(),
                          seen.block.first - (first.position + i), factor[i]);
      if constexpr (mixes) {
        const Index at = i * stride + hull.first;
        mix_heads<S>(room.mixed + at, shape.heads, room.tile + at, shape.query_heads, step, policies.heads.scores.data(),
                     policies.heads.scores.stride(), 1, in_use.size() / lanes<S>);
      }
      for (Index h = heads.first; h < heads.last; ++h) {
        S* scores = room.mixed + (h - heads.first) * step + i * stride;
        if constexpr (!leaves_scores<std::remove_cvref_t<decltype(policies.score)>>)
          apply_formula<S>(policies, scores, in_use, seen.block.first, first.position + i, h, shape.heads);
        each_gap(spans, in_use, [=](index_range gap) {
          std::fill(scores + gap.first, scores + gap.last, -std::numeric_limits<S>::infinity());
        });
        show(scores, spans, seen.block.first, h, i);
      }
    }
  }

  /// Only packs that hold a key the row sees, so that what an observer is given does not depend on the row's neighbours.
  void show(const S* scores, const key_spans& spans, Index first_key, Index h, Index i) {
    using P = pack<S>;
    const P natural(1 / policies.weights.score_unit);
    const saved_row<S> saved{kept(i, h), S(0)};
    const Index position = first.position + i;
    row& mine = state_of(h, i);
    Index j = 0;
    for (const index_range span : spans) {
      if (span.empty()) continue;
      for (j = std::max(j, span.first / lanes<S> * lanes<S>); j < span.last; j += lanes<S>) {
        const P score = P::load(scores + j), weight = policies.weights.weight(score, saved);
        const Index key = first_key + j;
        const observer_site<S> at{P(position) - P::ramp(static_cast<S>(key)), position, key, h, first.sequence};
        each_observer([&](auto n, const auto& o) { o.take(std::get<n>(mine), at, score * natural, weight); });
      }
    }
  }
};

/// attend_observe with keys(sequence, key head, block, room), the panels of a block of keys; it may pack them in the room.
template <real S, class Policies, class... Observer>
void attend_observe_to(const std::array<view<S>, sizeof...(Observer)>& seen, const_view<S> kept, const_view<S> q,
                       const sequences& batch, const auto& key_count, head_shape shape, const Policies& policies,
                       const std::tuple<Observer...>& observers, const auto& keys) {
  constexpr bool mixes = mixes_heads<decltype(Policies::heads)>;
  check_heads<S>("attend_observe", shape, policies.heads, policies.columns);
  check_rows<S>("attend_observe", "q", q, batch, shape.query_heads * shape.key_width);
  check_rows<S>("attend_observe", "kept", kept, batch, shape.heads);
  for (const auto& numbers : seen) check_rows<S>("attend_observe", "what is observed", numbers, batch, shape.heads);
  const row_factors<S> factors(batch, key_count, shape, policies);
  const Index apart = mixes ? 1 : shape.heads, together = shape.heads / apart;

  const auto with_rows = [&]<int Rows>(std::integral_constant<int, Rows> height) {
    using strip = attend_observe_strip<S, Rows, Policies, std::tuple<Observer...>>;
    const Index size = attend_observe_room<S>(height, nullptr, shape, mixes).used;
    const scratch<S> rooms(threads() * size);
    pooled_vector<typename strip::row> states(static_cast<std::size_t>(threads() * together * Rows), strip::fresh(observers));
    const Index blocks = (batch.longest() + Rows - 1) / Rows;
    parallel_for(batch.count() * apart * blocks, [&](Index task) {
      const Index b = blocks - 1 - task % blocks, head = task / blocks % apart, s = task / blocks / apart;
      const index_range rows{b * Rows, std::min((b + 1) * Rows, batch.length(s))};
      if (rows.empty()) return;
      const Index at = batch.first(s) + rows.first;
      const attend_observe_room<S> room(height, rooms.data() + thread_number() * size, shape, mixes);
      strip{.policies = policies,
            .observers = observers,
            .shape = shape,
            .heads = {head * together, (head + 1) * together},
            .first = {batch.start(s) + rows.first, key_count(s), s, head, apart},
            .row_of_first = at,
            .q = q.rows(at, rows.size()),
            .factor = factors.folded_of(head) + at,
            .kept = kept.rows(at, rows.size()),
            .room = room,
            .state = states.data() + thread_number() * together * Rows}
          .run(seen, [&](Index key_head, index_range block) { return keys(s, key_head, block, room.panels); });
    });
  };
  if (batch.longest() > 1)
    with_rows(std::integral_constant<int, mixed_rows>());
  else
    with_rows(std::integral_constant<int, 1>());
}

/// What observers see of the weights that attend_forward used: scores and weights are computed again, a block of keys at a time,
/// from q, k and kept, and handed to the observers, pack by pack.
///
/// Shapes    seen: (rows × heads) for each observer; kept (rows × heads), as attend_forward wrote it; the others as there. Where
///           heads mix, the weights are those of the heads, before they are mixed.
/// Numerics  bits depend on a row's own query and the keys it sees, NaN elsewhere or not; a row that sees nothing has
///           finish(begin()). Error ≤ 3 × a naive float loop's + 4 eps.
/// Cost      one score product and one exponential a visible pair, and what the observers do: 0.6 of the forward's time, as much
///           as the forward with row_entropy (8 heads of 64, 2048 keys, AVX-512); per thread one strip of mixed_rows against a
///           block of keys.
/// Throws    argument_error for shapes that do not fit.
template <real S, class Policies, observer_policy... Observer>
void attend_observe(const std::array<view<S>, sizeof...(Observer)>& seen, const_view<S> kept, const_view<S> q,
                    const key_value_cache<S>& cache, const sequences& batch, head_shape shape, const Policies& policies,
                    const std::tuple<Observer...>& observers) {
  require(cache.count() == batch.count(), "attend_observe: ", batch.count(), " sequences of queries but ", cache.count(),
          " of keys; needs as many");
  attend_observe_to<S>(seen, kept, q, batch, [&](Index s) { return cache.length(s); }, shape, policies, observers,
                       [&](Index s, Index key_head, index_range block, S*) {
                         return cache.panels(s, key_head) + block.first * shape.key_width;
                       });
}

/// The same for whole sequences, whose keys are rows beside the queries.
template <real S, class Policies, observer_policy... Observer>
void attend_observe(const std::array<view<S>, sizeof...(Observer)>& seen, const_view<S> kept, const_view<S> q,
                    const_view<S> k, const sequences& batch, const sequences& key_batch, head_shape shape,
                    const Policies& policies, const std::tuple<Observer...>& observers) {
  check_rows<S>("attend_observe", "k", k, key_batch, shape.key_heads * shape.key_width);
  attend_observe_to<S>(seen, kept, q, batch, [&](Index s) { return key_batch.length(s); }, shape, policies, observers,
                       [&](Index s, Index key_head, index_range block, S* room) -> const S* {
                         pack_key_panels<S>(room, k.rows(key_batch.first(s) + block.first, block.size())
                                                      .cols(key_head * shape.key_width, shape.key_width));
                         return room;
                       });
}

}  // namespace formwork
