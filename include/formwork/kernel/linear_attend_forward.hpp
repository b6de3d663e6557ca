// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/kernel/linear_attend_chunk.hpp>

namespace formwork::inline FORMWORK_ABI {

/// What one key head of one sequence has seen: the sums over whole chunks, and the keys and values of the unfinished one.
template <real S>
struct linear_carry {
  S* sums;     ///< S (key_width × padded head_width) of all whole chunks
  S* key_sum;  ///< z of all keys, unturned
  S* keys;     ///< (key_width × linear_chunk): turned features, a column for each key of the chunk
  S* values;   ///< (linear_chunk × padded head_width)

  linear_carry(scratch_layout<S>& room, head_shape shape)
      : sums(room.take(shape.key_width * padded<S>(shape.head_width))),
        key_sum(room.take(padded<S>(shape.key_width))),
        keys(room.take(shape.key_width * linear_chunk)),
        values(room.take(linear_chunk * padded<S>(shape.head_width))) {}

  static Index size(head_shape shape) {
    scratch_layout<S> room;
    linear_carry(room, shape);
    return room.used;
  }
};

/// What linear attention has seen: of each sequence its length and of each key head a linear_carry, whose size depends on
/// neither.
///
/// Cost      m · head_width + 48 (m + head_width) numbers for each sequence and key head, m features a key.
template <real S>
class linear_attend_state {
 public:
  linear_attend_state() = default;
  /// `features`: of each key; 0: as many as the key has numbers.
  linear_attend_state(Index count, head_shape shape, Index features = 0) : shape_(shape), kept_(shape) {
    if (features > 0) kept_.key_width = features;
    require(count >= 0 && shape.key_heads > 0 && shape.key_width > 0 && shape.head_width > 0, "linear_attend_state: ", count,
            " sequences, ", shape.key_heads, " key heads of width ", shape.key_width, ", values of width ", shape.head_width,
            "; needs all > 0");
    lengths_.assign(static_cast<std::size_t>(count), 0);
    numbers_ = matrix<S>(count, shape.key_heads * linear_carry<S>::size(kept_), S(0));
  }

  Index count() const { return static_cast<Index>(lengths_.size()); }
  Index length(Index sequence) const { return lengths_[static_cast<std::size_t>(sequence)]; }
  head_shape shape() const { return shape_; }
  Index features() const { return kept_.key_width; }

  /// Those of a sequence's key heads, one after another.
  S* carries(Index sequence) { return numbers_.row(sequence); }
  /// Counts the batch's rows as seen.
  void grow(const sequences& batch) {
    for (Index s = 0; s < count(); ++s) lengths_[static_cast<std::size_t>(s)] += batch.length(s);
  }

 private:
  head_shape shape_, kept_;  // kept_ has features in the place of keys
  matrix<S> numbers_;
  pooled_vector<Index> lengths_;
};

/// The forward of one key head of one sequence and of the query heads that read it.
template <real S, class Policies>
struct linear_attend_forward_head {
  const Policies& policies;
  head_shape shape;  ///< key_width: of the features
  Index key_width;   ///< of q and k
  Index key_head;
  index_range rows;  ///< of q, k, v and the outputs
  Index position;    ///< of the first of them
  view<S> out, kept;
  view<const S> q, k, v;
  linear_carry<S> carry;

  struct workspace {
    S *features, *key_sums, *scores, *sums;
    workspace(scratch_layout<S>& room, head_shape shape, Index rows)
        : features(room.take(rows * padded<S>(shape.key_width))),
          key_sums(room.take(rows * padded<S>(shape.key_width))),
          scores(room.take(rows * linear_chunk)),
          sums(room.take(rows * padded<S>(shape.head_width))) {}
  } work;

  /// The rows of a chunk that already holds `filled` keys.
  void take_chunk(index_range part, Index filled) {
    take_keys(part, filled);
    if constexpr (Policies::sums == key_sums::causal) each_head(part, filled);
    if (filled + part.size() == linear_chunk || Policies::sums == key_sums::full) add_chunk(filled + part.size());
  }
  void each_head(index_range part, Index filled) {
    const Index group = shape.heads / shape.key_heads;
    for (Index head = key_head * group; head < (key_head + 1) * group; ++head) take_queries(part, filled, head);
  }

 private:
  Index key_stride() const { return padded<S>(shape.key_width); }
  Index value_stride() const { return padded<S>(shape.head_width); }

  /// Features of some rows of one head, not yet turned.
  void take_features(view<const S> x, index_range part, Index head, side of) {
    policies.template features<S>({work.features, part.size(), shape.key_width, key_stride()},
                                  head_of(x, part, head, key_width), of);
  }
  view<S> turn_features(index_range part) {
    const view<S> features(work.features, part.size(), shape.key_width, key_stride());
    policies.template turned<S>(features, position + part.first - rows.first, direction::forward);
    return features;
  }

  void take_keys(index_range part, Index filled) {
    take_features(k, part, key_head, side::keys);
    running_sums(work.key_sums, carry.key_sum, part.size(), key_stride(), work.features);
    pack_blocks_transposed<lanes<S>, S>(carry.keys + filled, linear_chunk, turn_features(part), 0);
    copy_rows<S>(carry.values + filled * value_stride(), value_stride(), head_of(v, part, key_head, shape.head_width));
  }

  /// S += φ(K)ᵀ V of a chunk.
  void add_chunk(Index keys) {
    chunk_product(carry.sums, value_stride(), shape.key_width, value_stride(), start::continued, keys,
                  as_rows<S>(carry.keys, linear_chunk), carry.values, value_stride());
  }

  /// o = (φ(Q) S + tril(φ(Q) φ(K)ᵀ) V) / (φ(Q) · z), the numerator one chain: features of S, then keys of the chunk.
  void take_queries(index_range part, Index filled, Index head) {
    S denominators[linear_chunk];
    take_features(q, part, head, side::queries);
    for (Index i = 0; i < part.size(); ++i)
      denominators[i] = padded_dot(work.features + i * key_stride(),
                            Policies::sums == key_sums::full ? carry.key_sum : work.key_sums + i * key_stride(), key_stride());
    turn_features(part);

    const auto features = as_rows<S>(work.features, key_stride());
    chunk_product(work.sums, value_stride(), part.size(), value_stride(), start::fresh, shape.key_width, features, carry.sums,
                  value_stride());
    if constexpr (Policies::sums == key_sums::causal) {
      chunk_scores(work.scores, part.size(), filled, shape.key_width, features, carry.keys);
      chunk_product<extent::up_to_row>(work.sums, value_stride(), part.size(), value_stride(), start::continued, filled, filled,
                                       as_rows<S>(work.scores, linear_chunk), carry.values, value_stride());
    }

    const view<S> to = head_of(out, part, head, shape.head_width);
    for (Index i = 0; i < part.size(); ++i) {
      fetch_next(to, i);
      const pack<S> inverse(inverse_of(denominators[i]));
      for (Index j = 0; j < to.cols(); j += lanes<S>)
        (pack<S>::load(work.sums + i * value_stride() + j) * inverse).store(to.row(i) + j, to.cols() - j);
      if (kept.data()) kept(part.first + i, head) = denominators[i];
    }
  }
};

/// Chunk by chunk, all heads of a task in each. carries(s, room) are those of the sequence's key heads; `seen(s)` keys are in
/// them.
template <real S, class Policies, class Carries, class Seen>
void linear_attend_heads(view<S> out, view<S> kept, const_view<S> q, const_view<S> k, const_view<S> v, const sequences& batch,
                         head_shape shape, const Policies& policies, Index carry_room, Carries&& carries, Seen&& seen) {
  using one_head = linear_attend_forward_head<S, Policies>;
  const Index longest = std::min(linear_chunk, batch.longest());
  const head_shape inner = policies.features_of(shape);
  scratch_layout<S> measured;
  typename one_head::workspace(measured, inner, longest);
  const Index size = measured.used + carry_room;
  const scratch<S> rooms(threads() * size);
  std::fill_n(rooms.data(), threads() * size, S(0));  // what is past a width or a chunk's last key stays 0
  each_group_of_heads(batch, shape.key_heads, [&](Index s, index_range key_heads) {
    scratch_layout<S> room{rooms.data() + thread_number() * size};
    const typename one_head::workspace work(room, inner, longest);
    const index_range rows{batch.first(s), batch.first(s + 1)};
    S* const at = carries(s, room);
    const auto every_head = [&](auto f) {
      for (Index h = key_heads.first; h < key_heads.last; ++h) {
        scratch_layout<S> mine{at + h * linear_carry<S>::size(inner)};
        one_head head{.policies = policies, .shape = inner, .key_width = shape.key_width, .key_head = h, .rows = rows,
                      .position = batch.start(s), .out = out, .kept = kept, .q = q, .k = k, .v = v, .carry = {mine, inner},
                      .work = work};
        f(head);
      }
    };
    const auto every_chunk = [&](auto f) {
      for (Index r = rows.first; r < rows.last;) {
        const Index filled = (seen(s) + r - rows.first) % linear_chunk;
        const index_range part{r, std::min(rows.last, r + linear_chunk - filled)};
        every_head([&](one_head& head) { f(head, part, filled); });
        r = part.last;
      }
    };
    every_chunk([](one_head& head, index_range part, Index filled) { head.take_chunk(part, filled); });
    if constexpr (Policies::sums == key_sums::full)
      every_chunk([](one_head& head, index_range part, Index) { head.each_head(part, 0); });
  });
}

/// Linear attention of whole sequences: with φ the feature map and R_i what the position does to the numerator,
///
///   o_i = Σ_j [R_i φ(q_i) · R_j φ(k_j)] v_j / Σ_j φ(q_i) · φ(k_j),   j <= i (causal) or all j of the sequence (full),
///
/// through the sums S = Σ (R_j φ(k_j))ᵀ v_j over all earlier chunks, to which the chunk's own keys add a triangle, and
/// z = Σ φ(k_j).
///
/// Shapes    q (rows × heads · key_width), k (rows × key_heads · key_width), v (rows × key_heads · head_width), out (rows ×
///           heads · head_width), kept (rows × heads) or empty: the denominators. Head h reads key head h · key_heads / heads.
/// Numerics  each output is one chain, the features of S and then the keys of the chunk, S one chain over all keys: bits depend
///           on a row's own query and the keys it sees, not on the batch, the threads, alignment or NaN elsewhere. A row whose
///           denominator is 0 gives 0. Error ≤ 2 × the float recurrence's + 4 eps.
/// Cost      per token and head 4 m · head_width operations and 49 (m + head_width) within the chunk, m features a key; linear
///           in the length. Threads share sequences and key heads.
/// Throws    argument_error for shapes that do not fit.
/// Source    Katharopoulos et al., 2006.16236; positions: Su, kexue.fm/archives/8265.
/// Differs   no epsilon is added to the denominator (fast-transformers: 1e-6): maps that can vanish bring one.
template <real S, class Policies>
void linear_attend_forward(view<S> out, view<S> kept, const_view<S> q, const_view<S> k, const_view<S> v, const sequences& batch,
                           head_shape shape, const Policies& policies) {
  check_linear_attend<S>("linear_attend_forward", out, kept, q, k, v, batch, shape);
  const Index size = shape.key_heads * linear_carry<S>::size(policies.features_of(shape));
  const auto nothing_seen = [=](Index, scratch_layout<S>& room) {
    S* const carries = room.take(size);
    std::fill_n(carries, size, S(0));
    return carries;
  };
  linear_attend_heads<S>(out, kept, q, k, v, batch, shape, policies, size, nothing_seen, [](Index) { return Index(0); });
}

/// The same for the next tokens of each sequence, bit for bit: the state is what came before, and grows by them.
template <real S, class Policies>
  requires(Policies::sums == key_sums::causal)
void linear_attend_forward(view<S> out, const_view<S> q, const_view<S> k, const_view<S> v, linear_attend_state<S>& state,
                           const sequences& batch, const Policies& policies) {
  const head_shape shape = state.shape();
  check_linear_attend<S>("linear_attend_forward", out, {}, q, k, v, batch, shape);
  require(batch.count() == state.count(), "linear_attend_forward: ", batch.count(), " sequences but the state has ",
          state.count(), "; needs as many");
  const Index features = policies.features_of(shape).key_width;
  require(features == state.features(), "linear_attend_forward: ", features, " features a key but the state was made for ",
          state.features(), "; needs as many");
  for (Index s = 0; s < batch.count(); ++s)
    require(batch.start(s) == state.length(s), "linear_attend_forward: sequence ", s, " starts at position ", batch.start(s),
            " but the state has seen ", state.length(s), "; needs the next position");
  linear_attend_heads<S>(
      out, {}, q, k, v, batch, shape, policies, 0, [&](Index s, scratch_layout<S>&) { return state.carries(s); },
      [&](Index s) { return state.length(s); });
  state.grow(batch);
}

}  // namespace formwork
