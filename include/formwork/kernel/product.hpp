// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/parallel.hpp>
#include <formwork/kernel/block_product.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <span>
#include <tuple>
#include <utility>

namespace formwork::inline FORMWORK_ABI {

/// c += a b for one row, whole rows of b one after another as memory likes them best: eight at a time into c.
template <class S>
void stream_row(S* c, Index cols, Index depth, const S* a, Index a_step, const S* b, Index stride, start how) {
  using P = pack<S>;
  constexpr int together = 8;
  if (how == start::fresh) std::fill_n(c, cols, S(0));
  Index k = 0;
  const auto rows = [&]<int N>(std::integral_constant<int, N>) {
    P x[N];
#pragma GCC unroll 16
    for (int i = 0; i < N; ++i) x[i] = P(a[(k + i) * a_step]);
    const S* row = b + k * stride;
    const auto add = [&](Index j, Index count) {
      P sum = P::load(c + j, count);
#pragma GCC unroll 16
      for (int i = 0; i < N; ++i) sum = fma(x[i], P::load(row + i * stride + j, count), sum);
      sum.store(c + j, count);
    };
    Index j = 0;
    for (; j + P::size <= cols; j += P::size) add(j, Index(P::size));
    if (j < cols) add(j, cols - j);
  };
  for (; k + together <= depth; k += together) rows(std::integral_constant<int, together>());
  for (; k < depth; ++k) rows(std::integral_constant<int, 1>());
}

/// c += a bᵀ for one row: lane j is the chain of row j of b, which is transposed in registers.
template <class S>
void stream_row_transposed(S* c, Index cols, Index depth, const S* a, const S* b, Index stride, start how) {
  using P = pack<S>;
  constexpr int N = lanes<S>;
  // The k from `from` to `until` of `Chains` packs of columns: their sums hide each other's latency.
  const auto chains = [=]<int Chains>(std::integral_constant<int, Chains>, Index j, Index from, Index until, P* sum) {
    P own[Chains];
    std::copy_n(sum, Chains, own);
    for (Index k = from; k < until; k += N)
#pragma GCC unroll 4
      for (int r = 0; r < Chains; ++r) {
        const S* row = b + (j + r * N) * stride + k;
        asm("" : "+r"(row));  // or g++ keeps an address for each of the rows, and spills
        P block[N];
#pragma GCC unroll 16
        for (int i = 0; i < N; ++i) block[i] = P::load(row + i * stride);
        transpose(block);
#pragma GCC unroll 16
        for (int i = 0; i < N; ++i) own[r] = fma(P(a[k + i]), block[i], own[r]);
      }
    std::copy_n(own, Chains, sum);
  };
  constexpr int together = 2;
  const Index deep = depth / N * N;
  for (Index j = 0; j < cols; j += together * N) {
    const Index here = std::min<Index>(together * N, cols - j);
    P sum[together];
    for (int r = 0; r < together; ++r) sum[r] = how == start::fresh ? P(0) : P::load(c + j + r * N, here - r * N);
    Index done = 0;
    if (here == together * N)
      chains(std::integral_constant<int, together>(), j, 0, deep, sum), done = here;
    else
      for (; done + N <= here; done += N) chains(std::integral_constant<int, 1>(), j + done, 0, deep, sum + done / N);
    // What no block takes, number by number: a lane of its own row.
    S lane[N * together];
    for (int r = 0; r < together; ++r) sum[r].store(lane + r * N);
    for (Index i = 0; i < here; ++i)
      for (Index k = i < done ? deep : 0; k < depth; ++k)
        lane[i] = fma(pack<S, 1>(a[k]), pack<S, 1>(b[(j + i) * stride + k]), pack<S, 1>(lane[i]))[0];
    std::copy_n(lane, here, c + j);
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

/// Rows that go through several products one after another, so that what passes between them stays in cache.
inline constexpr Index rows_in_cache = 512;

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
    region wanted = region::whole;
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
      const auto& [c, b, after, wanted] = parts[p];
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
    // A thread is worth about 4 µs of multiplying.
    constexpr Index worth = 1 << 18;
    const Index work = again_.count * rows_ * packs_ * lanes<S> * depth_;
    const Index team = std::clamp<Index>(work / worth, 1, threads()), tiles = (rows_ + tile_rows - 1) / tile_rows;
    using block = block_product<S>;
    Index down = 1, across = 1;
    if (team > 1) {
      // Whole blocks of rows where there are plenty: b is packed once for each of them anyway, and a thread that falls behind
      // takes fewer.
      down = (rows_ + block::block_rows() - 1) / block::block_rows();
      if (triangle()) {
        down = std::min(2 * team, tiles);
      } else if (again_.count * down < 2 * team) {
        // Several products keep their order in every row: all threads finish one before the next.
        if (count_ > 1) {
          for (std::size_t p = 0; p < count_; ++p) product_run(form_, a_, how_, parts_ + p, 1, again_).run();
          return;
        }
        std::tie(down, across) = even_split(std::max<Index>(team / again_.count, 1), tiles);
      }
    }
    const Index each = down * across, units = again_.count * each;
    constexpr Index line = alignment / sizeof(S);
    const Index room = (block::room() + line - 1) / line * line;
    const bool needs_room = rows_ > 1;
    const scratch<S> rooms(needs_room ? (team > 1 ? threads() : 1) * room : 0);
    const auto run_unit = [&](Index u, Index owner) {
      const Index item = u / each, y = u / across % down, x = u % across;
      const Index row = row_at(y, down), pack = packs_ * x / across;
      multiply(item, {row, row_at(y + 1, down) - row}, {pack, packs_ * (x + 1) / across - pack},
               rooms.data() + (needs_room ? owner * room : 0));
    };
    if (team > 1)
      parallel_for(units, [&](Index u) { run_unit(u, thread_number()); });
    else
      for (Index u = 0; u < units; ++u) run_unit(u, 0);
  }

  bool triangle() const { return parts_[0].wanted == region::lower; }

  /// Where the rows of one of `down` units of equal work begin, by whole tiles.
  Index row_at(Index unit, Index down) const {
    const Index tiles = (rows_ + tile_rows - 1) / tile_rows;
    const double share = static_cast<double>(unit) / static_cast<double>(down);
    const Index tile = triangle() ? static_cast<Index>(static_cast<double>(tiles) * std::sqrt(share)) : tiles * unit / down;
    return std::min(tile * tile_rows, rows_);
  }

  /// Rows by columns of blocks, the most even ones. Columns rather than rows, where both are even: b is then packed once.
  std::pair<Index, Index> even_split(Index blocks, Index tiles) const {
    Index down = 1, best = (packs_ + blocks - 1) / blocks * tiles;
    for (Index rows = 2; rows <= blocks; ++rows)
      if (const Index most = (tiles + rows - 1) / rows * ((packs_ + blocks / rows - 1) / (blocks / rows)); most < best)
        best = most, down = rows;
    return {down, blocks / down};
  }

  /// Rows and packs of columns of one repetition; the columns of all parts count on.
  void multiply(Index item, stretch rows, stretch packs_of_all, S* room) const {
    view<const S> a = a_;
    a.data_ += item * again_.a;
    a = form_ == operands::tn ? a.cols(rows.first, rows.count) : a.rows(rows.first, rows.count);
    const auto each_part = [&](auto f) {
      Index before = 0;
      for (const part& p : std::span(parts_, count_)) {
        const Index first = std::max(packs_of_all.first - before, Index(0)) * lanes<S>;
        const Index end = std::min((packs_of_all.end() - before) * lanes<S>, p.c.cols());
        before += packs(p.c);
        if (first >= end) continue;
        product_part<S> mine = {.c = p.c.rows(rows.first, rows.count).cols(first, end - first),
                                .b = form_ == operands::nt ? p.b.rows(first, end - first) : p.b.cols(first, end - first),
                                .after = p.after,
                                .wanted = p.wanted,
                                .row = rows.first,
                                .col = first};
        mine.c.data_ += item * again_.c;
        mine.b.data_ += item * again_.b;
        f(mine);
      }
    };
    if (rows_ > 1)
      block_product<S>(form_, a, how_, room).run(packs_of_all.count * lanes<S>, each_part);
    else
      each_part([&](const product_part<S>& p) {
        if (form_ == operands::nt)
          stream_row_transposed(p.c.data(), p.c.cols(), depth_, a.data(), p.b.data(), p.b.stride(), how_);
        else
          stream_row(p.c.data(), p.c.cols(), depth_, a.data(), form_ == operands::tn ? a.stride() : 1, p.b.data(),
                     p.b.stride(), how_);
        p.after(0, p.col, p.c);
      });
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
/// An epilogue may read what the products before its own gave for the same rows.
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
