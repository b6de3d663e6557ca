// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/position.hpp>
#include <formwork/core/matrix.hpp>
#include <formwork/core/parallel.hpp>
#include <formwork/core/sequences.hpp>
#include <formwork/kernel/transform.hpp>

#include <cmath>
#include <span>

namespace formwork::inline FORMWORK_ABI {

/// Which columns of a head turn together.
enum class pairing {
  half,        ///< (i, i + rotated/2): GPT-NeoX, LLaMA as Hugging Face stores it
  interleaved  ///< (2i, 2i + 1): GPT-J, the RoFormer paper
};

/// Where positions stand on the line: position p at first + step · p.
struct rotary_line {
  double first = 0, step = 1;
};

/// cos and sin of position · inverse_frequency(i), times a factor, for positions 0 .. capacity() - 1; with growth, pair i also
/// times e^(growth(i) (position - origin)); on another line angles are by where its positions stand.
///
/// Shapes    cos(p), sin(p): one number per pair of columns.
/// Numerics  angles, cosines and sines in double, then rounded; so rows do not depend on the capacity.
/// Cost      about 30 ns per position and pair, once; reserve() forms the new rows only.
template <real S>
class rotary_table {
 public:
  rotary_table() = default;
  rotary_table(std::span<const double> inverse_frequency, Index capacity, double factor = 1, std::span<const double> growth = {},
               Index origin = 0, rotary_line line = {})
      : inverse_frequency_(inverse_frequency.begin(), inverse_frequency.end()),
        growth_(growth.begin(), growth.end()),
        factor_(factor),
        origin_(origin),
        line_(line) {
    require(capacity >= 0, "rotary_table: capacity ", capacity, "; needs >= 0");
    reserve(capacity);
  }

  Index capacity() const { return table_.rows(); }
  Index pairs() const { return static_cast<Index>(inverse_frequency_.size()); }
  std::span<const double> inverse_frequency() const { return inverse_frequency_; }
  double factor() const { return factor_; }

  const S* cos(Index position) const { return table_.row(position); }
  const S* sin(Index position) const { return table_.row(position) + stride(); }

  /// Room for positions 0 .. capacity - 1.
  void reserve(Index capacity) {
    if (capacity <= this->capacity()) return;
    matrix<S> grown(capacity, 2 * stride());
    const Index known = table_.rows();
    std::copy_n(table_.data(), table_.size(), grown.data());
    parallel_ranges(capacity - known, 64, [&](Index first, Index last) {
      for (Index p = known + first; p < known + last; ++p) {
        std::fill_n(grown.row(p), grown.cols(), S(0));
        for (Index i = 0; i < pairs(); ++i) {
          const auto pair = static_cast<std::size_t>(i);
          const double angle = (line_.first + line_.step * static_cast<double>(p)) * inverse_frequency_[pair];
          const double size = growth_.empty() ? factor_ : factor_ * std::exp(static_cast<double>(p - origin_) * growth_[pair]);
          grown(p, i) = static_cast<S>(size * std::cos(angle));
          grown(p, stride() + i) = static_cast<S>(size * std::sin(angle));
        }
      }
    });
    table_ = std::move(grown);
  }

 private:
  Index stride() const { return padded<S>(pairs()); }

  pooled_vector<double> inverse_frequency_, growth_;
  double factor_ = 1;
  Index origin_ = 0;
  rotary_line line_ = {};
  matrix<S> table_;  // a row is cos of all pairs, then sin, each padded to whole packs
};

/// The even and the odd lanes of two neighbouring packs, and back.
template <number S, int N>
FORMWORK_INLINE void split_lanes(pack<S, N>& low, pack<S, N>& high) {
  if constexpr (has_slope<S>) {
    split_lanes(low.value, high.value), split_lanes(low.slope, high.slope);
  } else if constexpr (N > 1) {
    using vector = typename vector_of<S, N>::type;
    const auto a = vector(low.value), b = vector(high.value);
    [&]<int... l>(std::integer_sequence<int, l...>) {
      low = pack<S, N>::wrap(__builtin_shufflevector(a, b, (2 * l)...));
      high = pack<S, N>::wrap(__builtin_shufflevector(a, b, (2 * l + 1)...));
    }(std::make_integer_sequence<int, N>{});
  }
}
template <number S, int N>
FORMWORK_INLINE void join_lanes(pack<S, N>& even, pack<S, N>& odd) {
  if constexpr (has_slope<S>) {
    join_lanes(even.value, odd.value), join_lanes(even.slope, odd.slope);
  } else if constexpr (N > 1) {
    using vector = typename vector_of<S, N>::type;
    const auto a = vector(even.value), b = vector(odd.value);
    [&]<int... l>(std::integer_sequence<int, l...>) {
      even = pack<S, N>::wrap(__builtin_shufflevector(a, b, (l / 2 + (l % 2) * N)...));
      odd = pack<S, N>::wrap(__builtin_shufflevector(a, b, ((l + N) / 2 + (l % 2) * N)...));
    }(std::make_integer_sequence<int, N>{});
  }
}

/// One head's pairs at one position: (a, b) becomes (a cos - b sin, a sin + b cos); sin comes with the direction's sign.
template <pairing Pairing, direction Direction, number S>
FORMWORK_INLINE void rotate_head(S* x, const real_of<S>* cos, const real_of<S>* sin, Index pairs) {
  using P = pack<S>;
  const auto turn = [&](P& a, P& b, Index i) {
    const P c = P::load(cos + i), s = Direction == direction::forward ? P::load(sin + i) : -P::load(sin + i);
    const P turned = fma(a, c, -(b * s));
    b = fma(a, s, b * c);
    a = turned;
  };
  const auto part = [&](Index i, Index count) {
    if constexpr (Pairing == pairing::half) {
      P a = P::load(x + i, count), b = P::load(x + pairs + i, count);
      turn(a, b, i);
      a.store(x + i, count);
      b.store(x + pairs + i, count);
    } else {
      const Index low = std::min<Index>(P::size, 2 * count), high = 2 * count - low;
      S* const at = x + 2 * i;
      P a = P::load(at, low), b = P::load(at + low, high);
      split_lanes(a, b);
      turn(a, b, i);
      join_lanes(a, b);
      a.store(at, low);
      b.store(at + low, high);
    }
  };
  Index i = 0;
  for (; i + P::size <= pairs; i += P::size) part(i, P::size);
  if (i < pairs) part(i, pairs - i);
}

/// Turns the first `rotated_width` columns of every head, in place: pair i of a row at position p by the angle
/// p · inverse_frequency(i). The row r of sequence s has the position start(s) + r.
///
/// Shapes    x (tokens × heads · head_width), table of rotated_width / 2 pairs.
/// Numerics  two fma chains of two products; backward after forward gives x back to rounding.
/// Throws    argument_error for a wrong shape, an odd rotated_width, or a position beyond the table.
/// Source    Su et al., 2104.09864; kexue.fm/archives/8265.
template <number S>
void rotate(view<S> x, const rotary_table<real_of<S>>& table, Index heads, Index head_width, Index rotated_width, pairing pairs,
            const sequences& rows, direction way) {
  require(heads >= 0 && head_width >= 0 && x.cols() == heads * head_width, "rotate: x is ", shape_text(x), " but there are ",
          heads, " heads of width ", head_width, "; needs x.cols = heads · head_width");
  require(rotated_width >= 0 && rotated_width % 2 == 0 && rotated_width <= head_width, "rotate: rotated width ", rotated_width,
          " of heads of width ", head_width, "; needs an even number of columns within a head");
  require(rotated_width == 2 * table.pairs(), "rotate: rotated width ", rotated_width, " but the table has ", table.pairs(),
          " pairs; needs rotated width = 2 · pairs");
  require(x.rows() == rows.rows(), "rotate: x is ", shape_text(x), " but the sequences have ", rows.rows(), " rows");
  for (Index s = 0; s < rows.count(); ++s)
    require(rows.length(s) == 0 || (rows.start(s) >= 0 && rows.start(s) + rows.length(s) <= table.capacity()),
            "rotate: sequence ", s, " has positions ", rows.start(s), " .. ", rows.start(s) + rows.length(s) - 1,
            " but the table ends at ", table.capacity() - 1);
  if (table.pairs() == 0) return;
  const auto run = [&]<pairing Pairing, direction Direction>() {
    parallel_ranges(x.rows(), rows_per_task(x.cols()), [&](Index first, Index last) {
      const Index turned = table.pairs();
      Index s = rows.sequence_of(first);
      for (Index i = first; i < last; ++i) {
        while (i >= rows.first(s + 1)) ++s;
        const Index position = rows.start(s) + i - rows.first(s);
        const real_of<S> *cos = table.cos(position), *sin = table.sin(position);
        S *head = x.row(i), *const end = head + x.cols();
        for (; head < end; head += head_width) rotate_head<Pairing, Direction>(head, cos, sin, turned);
      }
    });
  };
  if (pairs == pairing::half)
    way == direction::forward ? run.template operator()<pairing::half, direction::forward>()
                              : run.template operator()<pairing::half, direction::backward>();
  else
    way == direction::forward ? run.template operator()<pairing::interleaved, direction::forward>()
                              : run.template operator()<pairing::interleaved, direction::backward>();
}

}  // namespace formwork
