// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/matrix.hpp>
#include <formwork/core/parallel.hpp>
#include <formwork/kernel/epilogue.hpp>
#include <formwork/kernel/panel.hpp>
#include <formwork/kernel/tile.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <span>

namespace formwork::inline FORMWORK_ABI {

/// Which operand is transposed: c = a b, a bᵀ, aᵀ b.
enum class operands { nn, nt, tn };

/// An epilogue without its type, so that products are compiled once.
template <class S>
struct finish {
  void (*apply)(const void* epilogue, Index row, Index col, view<S> c) = nullptr;
  const void* epilogue = nullptr;

  explicit finish(const none&) {}
  template <class Epilogue>
  explicit finish(const Epilogue& e) : apply(&over<Epilogue>), epilogue(&e) {}

  void operator()(Index row, Index col, view<S> c) const {
    if (apply) apply(epilogue, row, col, c);
  }

 private:
  template <class Epilogue>
  static void over(const void* epilogue, Index row, Index col, view<S> c) {
    const auto& e = *static_cast<const Epilogue*>(epilogue);
    for (Index i = 0; i < c.rows(); ++i)
      for (Index j = 0; j < c.cols(); j += lanes<S>) {
        const Index count = std::min<Index>(lanes<S>, c.cols() - j);
        S* at = c.row(i) + j;
        e(row + i, col + j, pack<S>::load(at, count), count).store(at, count);
      }
  }
};

/// One tile from memory to memory: to = from + a b, where from = null stands for zeros.
template <class S>
struct tile_task {
  Index depth = 0;
  const S *a = nullptr, *b = nullptr;
  Index a_row = 0, a_step = 0, b_step = 0;  // as in tile::chain
  const S* from = nullptr;
  S* to = nullptr;
  Index from_stride = 0, to_stride = 0;

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
    if (t.from)
      sums.load(t.from, t.from_stride);
    else
      sums.clear();
    sums.chain(t.depth, t.a, t.a_row, t.a_step, t.b, t.b_step);
    sums.store(t.to, t.to_stride);
  }
};

/// A run of rows, columns or values of k.
struct stretch {
  Index first = 0, count = 0;
  Index end() const { return first + count; }
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

/// A block of c, on one thread.
///
/// Rows of a are packed in blocks of about 400 KB for the second-level cache; then strips of three packs of columns are
/// packed in panels of about 36 KB for the first-level one and multiplied with the whole block. Sums between two panels of
/// a strip wait in `sums`: in c itself, rows at a multiple of 4 KB would make the loads of a tile wait for the stores of the
/// one before. Up to 64 rows read b in place; few columns read a in place.
template <class S>
class block_product {
 public:
  static constexpr Index width = tile_cols<S>;
  static constexpr Index panel_depth = 192, block_depth = 384, block_rows = 1024 / sizeof(S);
  static constexpr Index rows_in_place = tile_rows * tile_rows, depth_in_place = block_rows * block_depth / rows_in_place;
  static constexpr Index cols_in_place = 6 * width;
  static constexpr Index room = panel_depth * width + block_rows * width + block_rows * block_depth;

  block_product(operands form, view<S> c, view<const S> a, view<const S> b, start how, finish<S> after, Index row,
                Index col, S* memory)
      : form_(form),
        c_(c),
        a_(a),
        b_(b),
        how_(how),
        after_(after),
        row_(row),
        col_(col),
        panel_(memory),
        sums_(panel_ + panel_depth * width),
        packed_(sums_ + block_rows * width) {}

  void run() {
    const Index m = c_.rows(), depth = form_ == operands::tn ? a_.rows() : a_.cols();
    const bool few_rows = m <= rows_in_place && form_ != operands::nt;
    const bool pack_a = form_ == operands::tn || (c_.cols() > cols_in_place && m >= tile_rows);
    last_ = depth;
    in_stretches(m, block_rows, tile_rows, [&](stretch rows) {
      in_stretches(depth, few_rows ? depth_in_place : block_depth, 16, [&](stretch k) {
        rows_of_a a = {a_.row(form_ == operands::tn ? 0 : rows.first) + k.first, a_.stride(), 1,
                       tile_rows * a_.stride()};
        if (pack_a) a = pack(rows, k);
        for (Index j = 0; j < c_.cols(); j += width) strip(rows, k, a, j, std::min(width, c_.cols() - j), few_rows);
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
    const auto panels = [&](stretch part, auto fill) {
      for (Index i = 0; i < rows.count; i += tile_rows)
        fill(packed_ + i * k.count + part.first * tile_rows, rows.first + i, std::min<Index>(tile_rows, rows.count - i));
    };
    if (form_ == operands::tn)
      for (Index from = 0; from < k.count; from += together) {
        const stretch part = {from, std::min(together, k.count - from)};
        panels(part, [&](S* panel, Index row, Index count) {
          pack_panel<narrow>(panel, tile_rows, a_.rows(k.first + from, part.count).cols(row, count));
        });
      }
    else
      panels({0, k.count}, [&](S* panel, Index row, Index count) {
        pack_panel_transposed(panel, tile_rows, a_.rows(row, count).cols(k.first, k.count));
      });
    return {packed_, 1, tile_rows, tile_rows * k.count};
  }

  /// Columns j ... of one block of rows and one of k.
  void strip(stretch rows, stretch k, rows_of_a a, Index j, Index cols, bool few_rows) {
    const Index packs = (cols + lanes<S> - 1) / lanes<S>;
    const bool whole = cols == packs * lanes<S>;  // otherwise c is only written through sums
    const bool fresh = k.first == 0 && how_ == start::fresh;
    if (!whole && !fresh) copy(rows.count, cols, c_.row(rows.first) + j, c_.stride(), sums_, width);
    const bool in_place = few_rows && whole;
    constexpr Index line = alignment / sizeof(S);
    const Index rows_ahead = panel_depth * tile_rows / rows.count + 1;
    in_stretches(k.count, in_place ? depth_in_place : panel_depth, 16, [&](stretch s) {
      const bool first = s.first == 0, last = s.end() == k.count;
      const stretch at = {k.first + s.first, s.count};
      tile_task<S> t = {.depth = s.count, .a_row = a.row, .a_step = a.step};
      t.from_stride = whole && first ? c_.stride() : width;
      t.to_stride = whole && last ? c_.stride() : width;
      t.b = panel_;
      t.b_step = packs * lanes<S>;
      const S* ahead = nullptr;
      if (form_ == operands::nt) {
        pack_panel_transposed(panel_, t.b_step, b_.rows(j, cols).cols(at.first, at.count));
      } else if (in_place) {
        t.b = b_.row(at.first) + j;
        t.b_step = b_.stride();
      } else {
        pack_panel<lanes<S>>(panel_, t.b_step, b_.rows(at.first, at.count).cols(j, cols));
        // The next panel comes into cache while this one is multiplied: its rows are too far apart for the machine to guess.
        ahead = last ? b_.row(k.first) + std::min(j + width, c_.cols() - 1) : b_.row(at.end()) + j;
      }
      const S* const ahead_end = ahead ? ahead + s.count * b_.stride() : nullptr;
      for (Index i = 0, count; i < rows.count; i += count) {
        for (Index row = 0; row < rows_ahead && ahead < ahead_end; ++row, ahead += b_.stride())
          for (Index x = 0; x < width; x += line) __builtin_prefetch(ahead + x);
        count = rows.count - i >= tile_rows ? tile_rows : Index(std::bit_floor(std::size_t(rows.count - i)));
        S* const c = c_.row(rows.first + i) + j;
        S* const held = sums_ + i * width;
        t.a = a.at + i / tile_rows * a.next + i % tile_rows * a.row + s.first * a.step;
        t.from = fresh && first ? nullptr : whole && first ? c : held;
        t.to = whole && last ? c : held;
        t(count, packs);
        if (!last) continue;
        if (!whole) copy(count, cols, held, width, c, c_.stride());
        if (at.end() == last_) after_(row_ + rows.first + i, col_ + j, {c, count, cols, c_.stride()});
      }
    });
  }

  static void copy(Index rows, Index cols, const S* from, Index from_stride, S* to, Index to_stride) {
    for (Index i = 0; i < rows; ++i) std::copy_n(from + i * from_stride, cols, to + i * to_stride);
  }

  operands form_;
  view<S> c_;
  view<const S> a_, b_;
  start how_;
  finish<S> after_;
  Index row_, col_;
  S *panel_, *sums_, *packed_;
  Index last_ = 0;
};

/// c += a b for one row, whole rows of b one after another as memory likes them best: eight at a time into c.
template <class S>
void stream_row(S* c, Index cols, Index depth, const S* a, Index a_step, const S* b, Index stride, start how) {
  using P = pack<S>;
  constexpr Index together = 8;
  if (how == start::fresh) std::fill_n(c, cols, S(0));
  Index k = 0;
  const auto rows = [&]<int N>(std::integral_constant<int, N>) {
    P x[N];
#pragma GCC unroll 16
    for (int i = 0; i < N; ++i) x[i] = P(a[(k + i) * a_step]);
    const S* row = b + k * stride;
    Index j = 0;
    for (; j + lanes<S> <= cols; j += lanes<S>) {
      P sum = P::load(c + j);
#pragma GCC unroll 16
      for (int i = 0; i < N; ++i) sum = fma(x[i], P::load(row + i * stride + j), sum);
      sum.store(c + j);
    }
    if (const Index rest = cols - j; rest > 0) {
      P sum = P::load(c + j, rest);
      for (int i = 0; i < N; ++i) sum = fma(x[i], P::load(row + i * stride + j, rest), sum);
      sum.store(c + j, rest);
    }
  };
  for (; k + together <= depth; k += together) rows(std::integral_constant<int, together>());
  for (; k < depth; ++k) rows(std::integral_constant<int, 1>());
}

/// c += a bᵀ for one row, transposing b in registers: lane j is the chain of row j of b.
template <class S>
void stream_row_transposed(S* c, Index cols, Index depth, const S* a, const S* b, Index stride, start how) {
  using P = pack<S>;
  constexpr int N = lanes<S>;
  for (Index j = 0; j < cols; j += N, b += N * stride) {
    const Index count = std::min<Index>(N, cols - j);
    P sum = how == start::fresh ? P(0) : P::load(c + j, count);
    for (Index k = 0; k < depth; k += N) {
      const Index deep = std::min<Index>(N, depth - k);
      P block[N];
      if (count == N && deep == N) {
#pragma GCC unroll 16
        for (int i = 0; i < N; ++i) block[i] = P::load(b + i * stride + k);
      } else {
        for (int i = 0; i < N; ++i) block[i] = i < count ? P::load(b + i * stride + k, deep) : P(0);
      }
      transpose(block);
      if (deep == N) {
#pragma GCC unroll 16
        for (int i = 0; i < N; ++i) sum = fma(P(a[k + i]), block[i], sum);
      } else {
        for (Index i = 0; i < deep; ++i) sum = fma(P(a[k + i]), block[i], sum);
      }
    }
    sum.store(c + j, count);
  }
}

/// One of the products that share a left operand.
template <class S, class Epilogue = none>
struct product_into {
  view<S> c;
  view<const S> b;
  Epilogue epilogue;
};
template <class S, class Epilogue = none>
product_into<S, Epilogue> into(view<S> c, const_view<S> b, Epilogue epilogue = {}) {
  return {c, b, epilogue};
}

/// A product repeated on operands a step apart, in numbers: the heads of an attention, say.
struct repeated {
  Index count = 1;
  Index c = 0, a = 0, b = 0;
};

/// Several products of one a, split over threads in blocks of c of equal work.
template <class S>
class product_run {
 public:
  struct part {
    view<S> c;
    view<const S> b;
    finish<S> after;
  };

  template <std::size_t N>
  static void run(operands form, view<const S> a, start how, const std::array<part, N>& parts, repeated again) {
    product_run(form, a, how, parts.data(), N, again).run();
  }

 private:
  product_run(operands form, view<const S> a, start how, const part* parts, std::size_t count, repeated again)
      : form_(form), a_(a), how_(how), parts_(parts), count_(count), again_(again) {
    rows_ = form == operands::tn ? a.cols() : a.rows();
    depth_ = form == operands::tn ? a.rows() : a.cols();
    for (std::size_t p = 0; p < count; ++p) {
      const auto& [c, b, after] = parts[p];
      const bool fits = c.rows() == rows_ && (form == operands::nt ? b.cols() : b.rows()) == depth_ &&
                        (form == operands::nt ? b.rows() : b.cols()) == c.cols();
      require(fits, name(), ": a is ", shape_text(a), ", b is ", shape_text(b), " and c is ", shape_text(c), "; needs ",
              form == operands::nn   ? "c (m × n) = a (m × k) b (k × n)"
              : form == operands::nt ? "c (m × n) = a (m × k) bᵀ (n × k)"
                                     : "c (m × n) = aᵀ (k × m) b (k × n)");
      packs_ += packs(c);
    }
  }

  const char* name() const {
    return form_ == operands::nn ? "product_nn" : form_ == operands::nt ? "product_nt" : "product_tn";
  }
  static Index packs(view<S> c) { return (c.cols() + lanes<S> - 1) / lanes<S>; }

  void run() {
    if (rows_ == 0 || packs_ == 0 || again_.count == 0) return;
    // A thread is worth about 4 µs of multiplying. Columns rather than rows, where both are even: b is then packed once.
    constexpr Index worth = 1 << 18;
    const Index work = again_.count * rows_ * packs_ * lanes<S> * depth_;
    const Index team = std::clamp<Index>(work / worth, 1, threads());
    const Index blocks = std::max<Index>(team / again_.count, 1), tiles = (rows_ + tile_rows - 1) / tile_rows;
    Index across = blocks, best = (packs_ + blocks - 1) / blocks * tiles;
    for (Index rows = 2; rows <= blocks; ++rows)
      if (const Index most = (tiles + rows - 1) / rows * ((packs_ + blocks / rows - 1) / (blocks / rows)); most < best)
        best = most, across = blocks / rows;
    const Index down = blocks / across, units = again_.count * down * across;
    using block = block_product<S>;
    const bool needs_room = rows_ > 1;
    constexpr Index line = alignment / sizeof(S), room = (block::room + line - 1) / line * line;
    const scratch<S> all(needs_room ? team * room : 0);
    parallel_for(team, [&](Index t) {
      for (Index u = units * t / team; u < units * (t + 1) / team; ++u) {
        const Index item = u / (down * across), y = u / across % down, x = u % across;
        const stretch rows = {tiles * y / down * tile_rows, 0}, cols = {packs_ * x / across, 0};
        const Index rows_end = std::min(tiles * (y + 1) / down * tile_rows, rows_);
        multiply(item, {rows.first, rows_end - rows.first}, {cols.first, packs_ * (x + 1) / across - cols.first},
                 all.data() + (needs_room ? t * room : 0));
      }
    });
  }

  /// Rows and packs of columns of one repetition; the columns of all parts count on.
  void multiply(Index item, stretch rows, stretch packs_of_all, S* room) const {
    view<const S> a = a_;
    a.data_ += item * again_.a;
    a = form_ == operands::tn ? a.cols(rows.first, rows.count) : a.rows(rows.first, rows.count);
    Index before = 0;
    for (const part& p : std::span(parts_, count_)) {
      const Index first = std::max(packs_of_all.first - before, Index(0)) * lanes<S>;
      const Index end = std::min((packs_of_all.end() - before) * lanes<S>, p.c.cols());
      before += packs(p.c);
      if (first >= end) continue;
      view<S> c = p.c.rows(rows.first, rows.count).cols(first, end - first);
      view<const S> b = form_ == operands::nt ? p.b.rows(first, end - first) : p.b.cols(first, end - first);
      c.data_ += item * again_.c;
      b.data_ += item * again_.b;
      if (rows_ > 1) {
        block_product<S>(form_, c, a, b, how_, p.after, rows.first, first, room).run();
        continue;
      }
      if (form_ == operands::nt)
        stream_row_transposed(c.data(), c.cols(), depth_, a.data(), b.data(), b.stride(), how_);
      else
        stream_row(c.data(), c.cols(), depth_, a.data(), form_ == operands::tn ? a.stride() : 1, b.data(), b.stride(),
                   how_);
      p.after(0, first, c);
    }
  }

  operands form_;
  view<const S> a_;
  start how_;
  const part* parts_;
  std::size_t count_;
  repeated again_;
  Index rows_ = 0, depth_ = 0, packs_ = 0;
};

/// Several products of one left operand in one pass: products(operands::nn, x, start::fresh, into(q, wq), into(k, wk), ...).
template <class S, class... Epilogue>
void products(operands form, const_view<S> a, start how, const product_into<S, Epilogue>&... each) {
  using run = product_run<S>;
  run::run(form, a, how, std::array{typename run::part{each.c, each.b, finish<S>(each.epilogue)}...}, {});
}

/// c = a b, or c += a b with start::continued; then the epilogue.
///
/// Shapes    c (m × n), a (m × k), b (k × n); any sizes and strides; c overlaps neither a nor b.
/// Numerics  every element is one chain fma(a(i, k), b(k, j), sum) for k = 0, 1, ..., from 0 or from c: the same bits in
///           every form, for every m and n, for any number of threads, and for a split of k that continues from c.
/// Cost      2 m n k operations; reads b in place for m ≤ 64 and streams it at the speed of memory for m = 1.
/// Throws    argument_error for shapes that do not fit.
template <class S, class Epilogue = none>
void product_nn(view<S> c, const_view<S> a, const_view<S> b, start how = start::fresh, const Epilogue& epilogue = {},
                repeated again = {}) {
  product_run<S>::run(operands::nn, a, how, std::array{typename product_run<S>::part{c, b, finish<S>(epilogue)}},
                      again);
}

/// c = a bᵀ: b is (n × k), the gradient of a product's left operand.
template <class S, class Epilogue = none>
void product_nt(view<S> c, const_view<S> a, const_view<S> b, start how = start::fresh, const Epilogue& epilogue = {},
                repeated again = {}) {
  product_run<S>::run(operands::nt, a, how, std::array{typename product_run<S>::part{c, b, finish<S>(epilogue)}},
                      again);
}

/// c = aᵀ b: a is (k × m), the gradient of a product's right operand.
template <class S, class Epilogue = none>
void product_tn(view<S> c, const_view<S> a, const_view<S> b, start how = start::fresh, const Epilogue& epilogue = {},
                repeated again = {}) {
  product_run<S>::run(operands::tn, a, how, std::array{typename product_run<S>::part{c, b, finish<S>(epilogue)}},
                      again);
}

}  // namespace formwork
