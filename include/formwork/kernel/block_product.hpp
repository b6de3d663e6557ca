// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/matrix.hpp>
#include <formwork/kernel/epilogue.hpp>
#include <formwork/kernel/panel.hpp>
#include <formwork/kernel/tile.hpp>

#if __has_include(<unistd.h>)
#include <unistd.h>
#endif

#include <algorithm>
#include <array>
#include <bit>
#include <utility>

namespace formwork::inline FORMWORK_ABI {

/// Which operand is transposed: c = a b, a bᵀ, aᵀ b.
enum class operands { nn, nt, tn };

/// Asks for the cache lines of a few rows of a matrix.
template <class S>
FORMWORK_INLINE void fetch(view<S> m) {
  constexpr Index line = alignment / sizeof(S);
  for (Index i = 0; i < m.rows(); ++i) {
    for (Index j = 0; j < m.cols(); j += line) __builtin_prefetch(m.row(i) + j);
    __builtin_prefetch(m.row(i) + m.cols() - 1);
  }
}

/// An epilogue without its type, so that products are compiled once.
template <class S>
struct finish {
  explicit finish(const none&) {}
  template <class Epilogue>
  explicit finish(const Epilogue& e) : epilogue_(&e), apply_(&apply<Epilogue>), ahead_(&ahead<Epilogue>) {
    if constexpr (requires { e.idle(); })
      if (e.idle()) epilogue_ = nullptr;
  }

  /// Does all of c, whose first element is (row, col) of the product.
  void operator()(Index row, Index col, view<S> c) const {
    if (epilogue_) apply_(epilogue_, row, col, c);
  }
  /// Fetches c and what the epilogue will touch beside it.
  void fetch_operands(Index row, Index col, view<S> c) const {
    fetch(c);
    if (epilogue_) ahead_(epilogue_, row, col, c.rows(), c.cols());
  }

 private:
  template <class Epilogue>
  static void apply(const void* epilogue, Index row, Index col, view<S> c) {
    const auto& e = *static_cast<const Epilogue*>(epilogue);
    for (Index i = 0; i < c.rows(); ++i)
      for (Index j = 0; j < c.cols(); j += lanes<S>) {
        const Index count = std::min<Index>(lanes<S>, c.cols() - j);
        S* at = c.row(i) + j;
        e(row + i, col + j, pack<S>::load(at, count), count).store(at, count);
      }
  }
  template <class Epilogue>
  static void ahead(const void* epilogue, Index row, Index col, Index rows, Index cols) {
    name_operands(*static_cast<const Epilogue*>(epilogue), [=](auto m) {
      if (m.data()) fetch(m.rows(row, rows).cols(col, cols));
    });
  }

  const void* epilogue_ = nullptr;
  void (*apply_)(const void*, Index, Index, view<S>) = nullptr;
  void (*ahead_)(const void*, Index, Index, Index, Index) = nullptr;
};

/// One tile in memory: c = a b, or c += a b.
template <class S>
struct tile_task {
  Index depth = 0;
  const S* a = nullptr;  // this and the next as in tile::chain
  Index a_row = 0, a_step = 0;
  const S* b = nullptr;
  Index b_step = 0;
  S* c = nullptr;
  Index c_stride = 0;
  start how = start::fresh;

  /// rows is 1, 2, 4 or tile_rows; packs 1 to tile_packs.
  void operator()(Index rows, Index packs) const {
    static constexpr auto table = []<int... r>(std::integer_sequence<int, r...>) {
      return std::array{std::array{&run<1 << r, 1>, &run<1 << r, 2>, &run<1 << r, 3>}...};
    }
    (std::make_integer_sequence<int, std::bit_width(unsigned(tile_rows))>());
    table[std::size_t(std::bit_width(std::size_t(rows)) - 1)][std::size_t(packs - 1)](*this);
  }

 private:
  template <int Rows, int Packs>
  [[gnu::noinline]] static void run(const tile_task& t) {
    tile<S, Rows, Packs> sums;
    if (t.how == start::fresh)
      sums.clear();
    else
      sums.load(t.c, t.c_stride);
    sums.chain(t.depth, t.a, t.a_row, t.a_step, t.b, t.b_step);
    sums.store(t.c, t.c_stride);
  }
};

/// A run of rows, columns or values of k.
struct stretch {
  Index first = 0, count = 0;
  Index end() const { return first + count; }

  /// These rows of a matrix.
  template <class M>
  auto of(M&& m) const {
    return m.rows(first, count);
  }
};

/// Visits `total` in the fewest stretches of at most `most`, all but the last equal and multiples of `unit`; one empty
/// stretch where there is nothing.
template <class F>
void in_stretches(Index total, Index most, Index unit, F f) {
  const Index pieces = std::max<Index>((total + most - 1) / most, 1);
  const Index each = std::max((total + pieces * unit - 1) / (pieces * unit) * unit, unit);
  Index first = 0;
  do f(stretch{first, std::min(each, total - first)});
  while ((first += each) < total);
}

/// Which elements of a product are wanted.
enum class region {
  whole,
  lower  ///< (i, j) with j ≤ i; tiles that hold none are left out, others are computed whole
};

/// A block of the columns of one product, and where it begins in the whole.
template <class S>
struct product_part {
  view<S> c;
  view<const S> b;
  finish<S> after;
  region wanted;
  Index row, col;

  /// The first of its rows, by whole tiles, with a wanted element in the columns from `first` on.
  Index first_row(Index first) const {
    return wanted == region::whole ? 0 : std::max<Index>(col + first - row, 0) / tile_rows * tile_rows;
  }
};

/// Blocks of several products of one a, on one thread.
///
/// Rows of a are packed in blocks of half the second-level cache, once for all products; then strips of three packs of columns
/// are packed in panels and multiplied with the whole block. Few rows read b in place; few columns read a in place. What the
/// next panel and the epilogue will read is fetched while a tile is multiplied: their rows are too far apart for the machine to
/// guess.
template <class S>
class block_product {
 public:
  static constexpr Index width = tile_cols<S>;
  static constexpr Index block_depth = 512;
  static constexpr Index rows_in_place = tile_rows * tile_rows, cols_in_place = 6 * width;

  /// Half of a core's second-level cache, from 384 KB to 1 MB.
  static Index block_rows() {
    static const Index rows = [] {
      long cache = 0;
#ifdef _SC_LEVEL2_CACHE_SIZE
      cache = ::sysconf(_SC_LEVEL2_CACHE_SIZE);
#endif
      return std::clamp<Index>(cache / 2, 384 << 10, 1 << 20) / (block_depth * Index(sizeof(S))) / tile_rows * tile_rows;
    }();
    return rows;
  }
  static Index room() { return block_depth * (width + block_rows()); }

  block_product(operands form, view<const S> a, start how, S* memory)
      : form_(form), a_(a), how_(how), panel_(memory), packed_(panel_ + block_depth * width) {}

  /// each_part(f) calls f(product_part) for every part; all have a's rows, `cols` columns together.
  template <class EachPart>
  void run(Index cols, EachPart each_part) {
    const bool tn = form_ == operands::tn;
    const Index m = tn ? a_.cols() : a_.rows(), depth = tn ? a_.rows() : a_.cols();
    const bool few_rows = m <= rows_in_place && form_ != operands::nt;
    const bool pack_a = tn || (cols > cols_in_place && m >= tile_rows);
    last_ = depth;
    in_stretches(m, block_rows(), tile_rows, [&](stretch rows) {
      in_stretches(depth, block_depth, 16, [&](stretch k) {
        rows_of_a a = {a_.row(tn ? 0 : rows.first) + k.first, a_.stride(), 1, tile_rows * a_.stride()};
        if (pack_a) a = pack(rows, k);
        each_part([&](const product_part<S>& part) {
          for (Index j = 0; j < part.c.cols() && part.first_row(j) < rows.end(); j += width)
            strip(part, rows, k, a, {j, std::min(width, part.c.cols() - j)}, few_rows);
        });
      });
    });
  }

 private:
  /// Row i at k is at[i / tile_rows * next + i % tile_rows * row + k * step].
  struct rows_of_a {
    const S* at;
    Index row, step, next;
  };

  /// Panels of tile_rows rows.
  rows_of_a pack(stretch rows, stretch k) {
    constexpr int narrow = std::min(tile_rows, lanes<S>);
    constexpr Index together = 16;  // rows of aᵀ: they are read along, each into all panels
    const auto panels = [&](Index at, auto fill) {
      for (Index i = 0; i < rows.count; i += tile_rows)
        fill(packed_ + i * k.count + at * tile_rows, rows.first + i, std::min<Index>(tile_rows, rows.count - i));
    };
    const auto part = [](view<const S> m, Index first, Index most) {
      return m.rows(first, std::clamp<Index>(m.rows() - first, 0, most));
    };
    if (form_ == operands::tn) {
      const view<const S> all = a_.rows(k.first, k.count).cols(rows.first, rows.count);
      for (Index from = 0; from < k.count; from += together) {
        fetch(part(all, from + together, together));
        panels(from, [&](S* panel, Index row, Index count) {
          pack_panel<narrow>(panel, tile_rows, part(all, from, together).cols(row - rows.first, count));
        });
      }
    } else {
      const view<const S> all = a_.cols(k.first, k.count);
      panels(0, [&](S* panel, Index row, Index count) {
        fetch(part(all, row + tile_rows, tile_rows));
        pack_panel_transposed(panel, tile_rows, all.rows(row, count));
      });
    }
    return {packed_, 1, tile_rows, tile_rows * k.count};
  }

  /// Some columns of one block of rows and one of k.
  void strip(const product_part<S>& part, stretch rows, stretch k, rows_of_a a, stretch cols, bool few_rows) {
    const view<S> c = part.c.rows(rows.first, rows.count).cols(cols.first, cols.count);
    const Index packs = (cols.count + lanes<S> - 1) / lanes<S>;
    const bool whole = cols.count == packs * lanes<S>;
    const bool fresh = k.first == 0 && how_ == start::fresh, done = k.end() == last_;
    tile_task<S> t = {.depth = k.count,
                      .a_row = a.row,
                      .a_step = a.step,
                      .b = panel_,
                      .b_step = packs * lanes<S>,
                      .c_stride = whole ? c.stride() : width,
                      .how = fresh ? start::fresh : start::continued};
    view<const S> ahead = {};  // what the next panel reads
    if (form_ == operands::nt) {
      pack_panel_transposed(panel_, t.b_step, part.b.rows(cols.first, cols.count).cols(k.first, k.count));
    } else if (few_rows && whole) {
      t.b = part.b.row(k.first) + cols.first;
      t.b_step = part.b.stride();
    } else {
      const view<const S> b = part.b.rows(k.first, k.count);
      pack_panel<lanes<S>>(panel_, t.b_step, b.cols(cols.first, cols.count));
      ahead = b.cols(cols.end(), std::min(width, b.cols() - cols.end()));
    }
    const Index top = std::max<Index>(part.first_row(cols.first) - rows.first, 0);
    const Index rows_ahead = (k.count * tile_rows + rows.count - top - 1) / (rows.count - top);
    alignas(alignment) S part_of_packs[tile_rows * width] = {};  // columns that fill no pack pass through it
    for (Index i = top, count; i < rows.count; i += count) {
      count = rows.count - i >= tile_rows ? tile_rows : Index(std::bit_floor(std::size_t(rows.count - i)));
      const view<S> out = c.rows(i, count), held(part_of_packs, count, cols.count, width);
      if (const Index row = (i - top) / tile_rows * rows_ahead; !ahead.empty() && row < ahead.rows())
        fetch(ahead.rows(row, std::min(rows_ahead, ahead.rows() - row)));
      if (done) part.after.fetch_operands(part.row + rows.first + i, part.col + cols.first, out);
      if (!whole && !fresh) copy(out, held);
      t.a = a.at + i / tile_rows * a.next + i % tile_rows * a.row;
      t.c = whole ? out.data() : held.data();
      t(count, packs);
      if (!whole) copy(held, out);
      if (done) part.after(part.row + rows.first + i, part.col + cols.first, out);
    }
  }

  static void copy(view<const S> from, view<S> to) {
    for (Index i = 0; i < from.rows(); ++i) std::copy_n(from.row(i), from.cols(), to.row(i));
  }

  operands form_;
  view<const S> a_;
  start how_;
  S *panel_, *packed_;
  Index last_ = 0;
};

}  // namespace formwork
