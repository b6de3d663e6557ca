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
  return sum(probe) == S(0);
}

/// The keys and values of one key head of one sequence, as the tiles read them.
template <real S>
struct cached_head {
  const S* panels;              ///< keys: panel p holds keys p tile_cols ..., element [d][key], key_width × tile_cols
  const S* values;              ///< rows of value_stride numbers, zero past the head width
  const unsigned char* finite;  ///< for each key_block: whether all its values are finite
  Index length;
  Index value_stride;
};

/// What attention has seen: keys as the panels of the score tile, values as rows, filled in place; each sequence has its own
/// length. A call without a state fills one and drops it, so both forms run the same kernel.
///
/// Shapes    k (rows × key_heads · key_width), v (rows × key_heads · head_width).
/// Cost      (key_width + head_width, each padded to whole packs) · key_heads numbers a key.
/// Throws    argument_error for another shape or where a sequence would outgrow its capacity; then nothing is changed.
template <real S>
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
    const auto fill_block = [&](Index task) {
      const Index b = task % blocks, h = task / blocks % shape_.key_heads, s = task / blocks / shape_.key_heads;
      const Index first = length(s), last = first + batch.length(s);
      const Index from = std::max(first, (first / key_block + b) * key_block);
      const Index until = std::min(last, (first / key_block + b + 1) * key_block);
      if (from < until) fill_head(s, h, from, until, batch.first(s) + from - first, k, v);
    };
    const Index tasks = batch.count() * shape_.key_heads * blocks;
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
      fill_keys(s, h, 0, k.rows(held.first(s), length(s)));
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

  cached_head<S> head(Index sequence, Index key_head) const {
    const S* keys = numbers_.data() + offsets_[at(sequence)] + key_head * head_size(capacity(sequence));
    return {keys, keys + panels_size(capacity(sequence)), finite_.data() + flag(sequence, key_head), length(sequence),
            value_stride()};
  }

 private:
  static std::size_t at(Index i) { return static_cast<std::size_t>(i); }
  static Index blocks_in(Index keys) { return (keys + key_block - 1) / key_block; }
  Index value_stride() const { return padded<S>(shape_.head_width); }
  Index panels_size(Index keys) const {
    return (keys + tile_cols<S> - 1) / tile_cols<S> * tile_cols<S> * shape_.key_width;
  }
  Index head_size(Index keys) const { return panels_size(keys) + keys * value_stride(); }
  std::size_t flag(Index sequence, Index key_head) const {
    return at(flags_[at(sequence)] + key_head * blocks_in(capacity(sequence)));
  }

  void allocate(const sequences& room) {
    require(shape_.key_heads > 0 && shape_.key_width > 0 && shape_.head_width > 0,
            "key_value_cache: ", shape_.key_heads, " key heads of width ", shape_.key_width, ", values of width ",
            shape_.head_width, "; needs all > 0");
    Index numbers = 0, flags = 0;
    for (Index s = 0; s < room.count(); ++s) {
      capacities_.push_back(room.length(s));
      offsets_.push_back(numbers);
      flags_.push_back(flags);
      numbers += shape_.key_heads * head_size(room.length(s));
      flags += shape_.key_heads * blocks_in(room.length(s));
    }
    lengths_.assign(at(room.count()), 0);
    numbers_ = matrix<S>(1, numbers);
    finite_.assign(at(flags), 1);
  }

  void check(view<const S> k, view<const S> v, const sequences& batch) const {
    require(batch.count() == count(), "key_value_cache: ", batch.count(), " sequences for a cache of ", count());
    check_keys(k, batch);
    require(v.rows() == batch.rows() && v.cols() == shape_.key_heads * shape_.head_width, "key_value_cache: v is ",
            shape_text(v), "; needs (", batch.rows(), " × ", shape_.key_heads * shape_.head_width, ")");
    for (Index s = 0; s < count(); ++s)
      require(length(s) + batch.length(s) <= capacity(s), "key_value_cache: sequence ", s, " holds ", length(s),
              " keys and ", batch.length(s), " more come, but its capacity is ", capacity(s));
  }

  void check_keys(view<const S> k, const sequences& batch) const {
    require(k.rows() == batch.rows() && k.cols() == shape_.key_heads * shape_.key_width, "key_value_cache: k is ",
            shape_text(k), "; needs (", batch.rows(), " × ", shape_.key_heads * shape_.key_width, ")");
  }

  S* panels_of(Index s, Index h) { return numbers_.data() + offsets_[at(s)] + h * head_size(capacity(s)); }

  /// Keys from .. until - 1 of one head, all in one key_block; `row` is the first one's row in k and v.
  void fill_head(Index s, Index h, Index from, Index until, Index row, view<const S> k, view<const S> v) {
    const Index rows = until - from, stride = value_stride();
    fill_keys(s, h, from, k.rows(row, rows));
    S* values = panels_of(s, h) + panels_size(capacity(s)) + from * stride;
    unsigned char& finite = finite_[flag(s, h) + at(from / key_block)];
    if (from % key_block == 0) finite = 1;
    if (!copy_padded<S>(values, stride, v.rows(row, rows).cols(h * shape_.head_width, shape_.head_width))) finite = 0;
  }

  /// Keys from, ... of one head; k holds all heads' columns.
  void fill_keys(Index s, Index h, Index from, view<const S> k) {
    const Index width = shape_.key_width, rows = k.rows();
    S* panels = panels_of(s, h);
    const auto keys = k.cols(h * width, width);
    for (Index i = 0; i < rows;) {
      const Index key = from + i, lane = key % tile_cols<S>;
      S* panel = panels + (key - lane) * width;
      const Index here = std::min(rows - i, tile_cols<S> - lane);
      if (lane == 0)
        pack_panel_transposed<S>(panel, tile_cols<S>, keys.rows(i, here));
      else
        for (Index x = 0; x < here; ++x)
          for (Index d = 0; d < width; ++d) panel[d * tile_cols<S> + lane + x] = keys(i + x, d);
      i += here;
    }
  }

  head_shape shape_;
  matrix<S> numbers_;  // of each sequence, each head: panels, then values
  pooled_vector<Index> capacities_, offsets_, flags_, lengths_;
  pooled_vector<unsigned char> finite_;
};

}  // namespace formwork
