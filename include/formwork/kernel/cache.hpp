// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/heads.hpp>
#include <formwork/core/matrix.hpp>
#include <formwork/core/parallel.hpp>
#include <formwork/core/sequences.hpp>
#include <formwork/kernel/panel.hpp>
#include <formwork/kernel/tile.hpp>

#include <algorithm>
#include <span>

namespace formwork::inline FORMWORK_ABI {

/// Keys that one step of a row's weights takes: whole panels on every machine. Blocks start at key 0 of a sequence, so that
/// a row meets the same blocks however its queries and keys arrived.
inline constexpr Index key_block = 384;
static_assert(key_block % tile_cols<float> == 0 && key_block % tile_cols<double> == 0);

/// Rows copied to rows of `stride` >= cols numbers, zero behind; tells whether all of them are finite.
template <class S>
bool copy_padded(S* to, Index stride, const_view<S> from) {
  using P = pack<S>;
  P probe(0);  // x · 0 is NaN where x is not finite, and stays in the sum
  for (Index i = 0; i < from.rows(); ++i, to += stride)
    for (Index j = 0; j < stride; j += P::size) {
      const P x = P::load(from.row(i) + j, std::max<Index>(from.cols() - j, 0));
      probe = fma(x, P(0), probe);
      x.store(to + j);
    }
  return vanishes(sum(probe));
}

/// Rows of keys as the panels of the score tile: panel p holds keys p tile_cols ..., element [d][key].
template <class S>
void pack_key_panels(S* panels, const_view<S> keys) {
  for (Index i = 0; i < keys.rows(); i += tile_cols<S>)
    pack_panel_transposed<S>(panels + i * keys.cols(), tile_cols<S>, keys.rows(i, std::min(tile_cols<S>, keys.rows() - i)));
}

/// At most key_block keys and values of one head, as the tiles read them.
template <number S>
struct key_value_block {
  const S* panels;  ///< see pack_key_panels
  const S* values;  ///< rows of padded numbers, zero past the head width
  bool finite;      ///< whether all values are
};

/// The values of one head of one sequence, as the tiles read them.
template <number S>
struct cached_values {
  const S* rows;                ///< of `stride` numbers, zero past the head width
  Index stride;
  const unsigned char* finite;  ///< for each key_block: whether all its values are finite
};

/// What attention has seen: keys as the panels of the score tile, values as rows, filled in place; each sequence has its own
/// length. A call without a state fills one and drops it, so both forms run the same kernel.
///
/// Shapes    k (rows × key_heads · key_width), v (rows × value_heads · head_width).
/// Cost      key_heads · key_width + value_heads · head_width numbers a key, each width padded to whole packs.
/// Throws    argument_error for another shape or where a sequence would outgrow its capacity; then nothing is changed.
template <number S>
class key_value_cache {
 public:
  key_value_cache() = default;
  /// Room for `capacity` keys of each of `count` sequences, allocated at once.
  key_value_cache(Index count, Index capacity, head_shape shape) : shape_(shape) {
    require(count >= 0 && capacity >= 0, "key_value_cache: ", count, " sequences of ", capacity,
            " keys; needs both >= 0");
    allocate(sequences::equal(count, capacity));
    numbers_.fill(S(0));
  }
  /// Exactly these keys and values.
  key_value_cache(view<const S> k, view<const S> v, const sequences& batch, head_shape shape) : shape_(shape) {
    allocate(batch);
    append(k, v, batch);
  }

  /// The next keys and values of each sequence: row r of sequence s becomes key length(s) + r.
  void append(view<const S> k, view<const S> v, const sequences& batch) {
    check(k, v, batch);
    const Index blocks = batch.longest() / key_block + 2;  // of the appended keys: the first may be begun already
    const Index heads = std::max(shape_.key_heads, shape_.value_heads);
    const auto fill_block = [&](Index task) {
      const Index b = task % blocks, h = task / blocks % heads, s = task / blocks / heads;
      const Index first = length(s), last = first + batch.length(s);
      const Index from = std::max(first, (first / key_block + b) * key_block);
      const Index until = std::min(last, (first / key_block + b + 1) * key_block);
      if (from >= until) return;
      const Index row = batch.first(s) + from - first, rows = until - from;
      if (h < shape_.key_heads) fill_keys(s, h, from, k.rows(row, rows).cols(h * shape_.key_width, shape_.key_width));
      if (h < shape_.value_heads) fill_values(s, h, from, v.rows(row, rows).cols(h * shape_.head_width, shape_.head_width));
    };
    const Index tasks = batch.count() * heads * blocks;
    if (k.size() + v.size() >= 1 << 16)
      parallel_for(tasks, fill_block);
    else
      for (Index task = 0; task < tasks; ++task) fill_block(task);
    for (Index s = 0; s < count(); ++s) lengths_[at(s)] += batch.length(s);
  }

  /// Other keys in the place of those it holds, for the same values.
  ///
  /// Shapes    k (the rows of rows() × key_heads · key_width).
  void replace_keys(view<const S> k) {
    const sequences held = rows();
    check_keys(k, held);
    parallel_for(count() * shape_.key_heads, [&](Index task) {
      const Index s = task / shape_.key_heads, h = task % shape_.key_heads;
      fill_keys(s, h, 0, k.rows(held.first(s), length(s)).cols(h * shape_.key_width, shape_.key_width));
    });
  }

  /// Forgets all but the first `length` keys of a sequence.
  void truncate(Index sequence, Index length) {
    require(0 <= sequence && sequence < count() && 0 <= length && length <= lengths_[at(sequence)],
            "key_value_cache: cannot cut sequence ", sequence, " to ", length, " keys");
    lengths_[at(sequence)] = length;
  }

  Index count() const { return static_cast<Index>(lengths_.size()); }
  Index length(Index sequence) const { return lengths_[at(sequence)]; }
  Index capacity(Index sequence) const { return capacities_[at(sequence)]; }
  head_shape shape() const { return shape_; }
  /// As many rows as it holds keys of each sequence.
  sequences rows() const { return sequences(std::span<const Index>(lengths_)); }

  /// The keys of one head: panel p holds keys p tile_cols ..., element [d][key], key_width × tile_cols.
  const S* panels(Index sequence, Index key_head) const { return numbers_.data() + keys_at(sequence, key_head); }
  cached_values<S> values(Index sequence, Index value_head) const {
    return {numbers_.data() + values_at(sequence, value_head), value_stride(), finite_.data() + flag(sequence, value_head)};
  }
  /// The key_block that begins at key `first`.
  key_value_block<S> block(Index sequence, Index key_head, Index value_head, Index first) const {
    const cached_values<S> all = values(sequence, value_head);
    return {panels(sequence, key_head) + first * shape_.key_width, all.rows + first * all.stride,
            all.finite[first / key_block] != 0};
  }

 private:
  static std::size_t at(Index i) { return static_cast<std::size_t>(i); }
  static Index blocks_in(Index keys) { return (keys + key_block - 1) / key_block; }
  Index value_stride() const { return padded<S>(shape_.head_width); }
  Index panels_size(Index keys) const {
    return (keys + tile_cols<S> - 1) / tile_cols<S> * tile_cols<S> * shape_.key_width;
  }
  Index keys_at(Index sequence, Index key_head) const {
    return offsets_[at(sequence)] + key_head * panels_size(capacity(sequence));
  }
  Index values_at(Index sequence, Index value_head) const {
    return keys_at(sequence, shape_.key_heads) + value_head * capacity(sequence) * value_stride();
  }
  std::size_t flag(Index sequence, Index value_head) const {
    return at(flags_[at(sequence)] + value_head * blocks_in(capacity(sequence)));
  }

  void allocate(const sequences& room) {
    require(shape_.key_heads > 0 && shape_.key_width > 0 && shape_.value_heads > 0 && shape_.head_width > 0,
            "key_value_cache: ", shape_.key_heads, " key heads of width ", shape_.key_width, ", ", shape_.value_heads,
            " value heads of width ", shape_.head_width, "; needs all > 0");
    Index numbers = 0, flags = 0;
    for (Index s = 0; s < room.count(); ++s) {
      capacities_.push_back(room.length(s));
      offsets_.push_back(numbers);
      flags_.push_back(flags);
      numbers += shape_.key_heads * panels_size(room.length(s)) + shape_.value_heads * room.length(s) * value_stride();
      flags += shape_.value_heads * blocks_in(room.length(s));
    }
    lengths_.assign(at(room.count()), 0);
    numbers_ = matrix<S>(1, numbers);
    finite_.assign(at(flags), 1);
  }

  void check(view<const S> k, view<const S> v, const sequences& batch) const {
    require(batch.count() == count(), "key_value_cache: ", batch.count(), " sequences for a cache of ", count());
    check_keys(k, batch);
    require(v.rows() == batch.rows() && v.cols() == shape_.value_heads * shape_.head_width, "key_value_cache: v is ",
            shape_text(v), "; needs (", batch.rows(), " × ", shape_.value_heads * shape_.head_width, ")");
    for (Index s = 0; s < count(); ++s)
      require(length(s) + batch.length(s) <= capacity(s), "key_value_cache: sequence ", s, " holds ", length(s),
              " keys and ", batch.length(s), " more come, but its capacity is ", capacity(s));
  }

  void check_keys(view<const S> k, const sequences& batch) const {
    require(k.rows() == batch.rows() && k.cols() == shape_.key_heads * shape_.key_width, "key_value_cache: k is ",
            shape_text(k), "; needs (", batch.rows(), " × ", shape_.key_heads * shape_.key_width, ")");
  }

  /// Keys from, from + 1, ... of one head; likewise its values. All in one key_block.
  void fill_keys(Index s, Index h, Index from, view<const S> keys) {
    const Index width = shape_.key_width;
    S* panels = numbers_.data() + keys_at(s, h);
    for (Index i = 0; i < keys.rows();) {
      const Index key = from + i, lane = key % tile_cols<S>;
      S* panel = panels + (key - lane) * width;
      const Index here = std::min(keys.rows() - i, tile_cols<S> - lane);
      if (lane == 0)
        pack_panel_transposed<S>(panel, tile_cols<S>, keys.rows(i, here));
      else
        for (Index x = 0; x < here; ++x)
          for (Index d = 0; d < width; ++d) panel[d * tile_cols<S> + lane + x] = keys(i + x, d);
      i += here;
    }
  }
  void fill_values(Index s, Index h, Index from, view<const S> values) {
    unsigned char& finite = finite_[flag(s, h) + at(from / key_block)];
    if (from % key_block == 0) finite = 1;
    if (!copy_padded<S>(numbers_.data() + values_at(s, h) + from * value_stride(), value_stride(), values)) finite = 0;
  }

  head_shape shape_;
  matrix<S> numbers_;  // of each sequence: the panels of its key heads, then the rows of its value heads
  pooled_vector<Index> capacities_, offsets_, flags_, lengths_;
  pooled_vector<unsigned char> finite_;
};

}  // namespace formwork
