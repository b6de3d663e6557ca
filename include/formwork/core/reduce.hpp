// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/matrix.hpp>
#include <formwork/core/parallel.hpp>

namespace formwork::inline FORMWORK_ABI {

/// Adds numbers in double with the rounding errors carried along (Neumaier, 1974); values and slopes alike.
template <number W = double>
class compensated_sum {
 public:
  void add(double x) {
    const double t = sum_ + x;
    rest_ += (sum_ < 0 ? -sum_ : sum_) >= (x < 0 ? -x : x) ? (sum_ - t) + x : (x - t) + sum_;
    sum_ = t;
  }
  /// The sum alone where it is not finite, whose rest is NaN.
  double value() const { return sum_ - sum_ == 0 ? sum_ + rest_ : sum_; }

 private:
  double sum_ = 0, rest_ = 0;
};
template <number W>
  requires has_slope<W>
class compensated_sum<W> {
 public:
  void add(const W& x) { value_.add(x.value[0]), slope_.add(x.slope[0]); }
  W value() const { return {value_.value(), slope_.value()}; }

 private:
  compensated_sum<double> value_, slope_;
};

/// Σ term(i) over packs of indices 0 .. n - 1, the shape of the sum fixed by n alone: blocks of 128 packs in four
/// chains each, blocks added in double with their rounding errors. term(i, count, sum) returns sum + its `count`
/// numbers from i.
template <number S, class Term>
wide_of<S> sum_in_blocks(Index n, Term term) {
  using P = pack<S>;
  constexpr Index wide = 4 * P::size, block = 32 * wide;
  compensated_sum<wide_of<S>> total;
  for (Index first = 0; first < n; first += block) {
    const Index last = std::min(first + block, n);
    P a[4] = {P(0), P(0), P(0), P(0)};
    Index i = first;
    for (; i + wide <= last; i += wide)
#pragma GCC unroll 4
      for (int c = 0; c < 4; ++c) a[c] = term(i + c * P::size, Index(P::size), a[c]);
#pragma GCC unroll 4
    for (int c = 0; c < 4; ++c, i += P::size)
      if (i < last) a[c] = term(i, std::min<Index>(P::size, last - i), a[c]);
    total.add(widened(sum((a[0] + a[2]) + (a[1] + a[3]))));
  }
  return total.value();
}

/// Σ x_i.
///
/// Numerics  error ≤ (32 + log2(4 lanes)) u Σ |x_i| for any n, u = 2^-24 (double: 2^-53); the same bits at any address.
template <number S>
wide_of<S> sum(const S* x, Index n) {
  return sum_in_blocks<S>(n, [x](Index i, Index count, pack<S> a) { return a + pack<S>::load(x + i, count); });
}

/// Σ x_i y_i.
///
/// Numerics  error ≤ (33 + log2(4 lanes)) u Σ |x_i y_i|.
template <number S>
wide_of<S> dot(const S* x, const S* y, Index n) {
  return sum_in_blocks<S>(n, [x, y](Index i, Index count, pack<S> a) {
    return fma(pack<S>::load(x + i, count), pack<S>::load(y + i, count), a);
  });
}

/// Σ x_i².
///
/// Numerics  relative error ≤ (33 + log2(4 lanes)) u where no square under- or overflows S.
template <number S>
wide_of<S> sum_of_squares(const S* x, Index n) {
  return dot(x, x, n);
}

/// The largest value of an x_i; NaN where any x_i is NaN; -∞ for n = 0.
template <number S>
real_of<S> largest(const S* x, Index n) {
  using P = pack<real_of<S>>;
  const auto load = [x](Index i, Index count) { return value_of(pack<S>::load(x + i, count)); };
  const P least(-std::numeric_limits<real_of<S>>::infinity());
  P most[2] = {least, least}, strange[2] = {P(0), P(0)};  // strange: NaN once a NaN was seen
  const auto see = [&](int chain, P v) {
    most[chain] = max(most[chain], v);
    strange[chain] = select(v == v, strange[chain], v);
  };
  Index i = 0;
  for (; i + 2 * P::size <= n; i += 2 * P::size) see(0, load(i, P::size)), see(1, load(i + P::size, P::size));
  for (; i < n; i += P::size) see(0, select(P::ramp(0) < P(n - i), load(i, n - i), least));
  const real_of<S> bad = sum(strange[0] + strange[1]);
  return bad == bad ? largest(max(most[0], most[1])) : bad;
}

/// Whether no x_i is infinite or NaN.
template <number S>
bool all_finite(const S* x, Index n) {
  using P = pack<S>;
  P zero(0);  // 0 x is 0 for finite x and NaN otherwise
  for (Index i = 0; i < n; i += P::size) zero = zero + P(0) * P::load(x + i, n - i);
  return vanishes(sum(zero));
}

/// out_j = Σ_i term(i, j), or added to out_j, for the gradients of biases and gains. term(i, j, count) gives the
/// `count` numbers from (i, j) on as a pack.
///
/// Shapes    out (cols).
/// Numerics  chunks of 128 rows are chains in row order, the chunks' sums one chain: the same bits for any number of
///           threads; error ≤ (128 + rows/128) u Σ |term|.
template <number S, class Term>
void add_column_sums(S* out, Index rows, Index cols, start how, Term term) {
  using P = pack<S>;
  constexpr Index chunk = 128, strip = 4 * P::size, group = 8;
  const Index chunks = std::max<Index>((rows + chunk - 1) / chunk, 1), strips = (cols + strip - 1) / strip;
  const scratch<S> partial(chunks * strips * strip);
  parallel_for(chunks * ((strips + group - 1) / group), [&](Index task) {
    const Index c = task % chunks, first = c * chunk, last = std::min(first + chunk, rows), s = task / chunks * group;
    for (Index j = s * strip; j < std::min((s + group) * strip, cols); j += strip) {
      const Index width = std::min(strip, cols - j);
      P a[4] = {P(0), P(0), P(0), P(0)};
      if (width == strip) {
        for (Index i = first; i < last; ++i)
#pragma GCC unroll 4
          for (Index p = 0; p < 4; ++p) a[p] += term(i, j + p * P::size, Index(P::size));
      } else {
        for (Index i = first; i < last; ++i)
          for (Index p = 0; p * P::size < width; ++p)
            a[p] += term(i, j + p * P::size, std::min<Index>(P::size, width - p * P::size));
      }
      for (Index p = 0; p < 4; ++p) a[p].store(partial.data() + c * strips * strip + j + p * P::size);
    }
  });
  for (Index j = 0; j < cols; j += P::size) {
    P total = P::load(partial.data() + j);
    for (Index c = 1; c < chunks; ++c) total += P::load(partial.data() + c * strips * strip + j);
    const Index count = std::min<Index>(P::size, cols - j);
    if (how == start::continued) total += P::load(out + j, count);
    total.store(out + j, count);
  }
}

/// out_j = Σ_i m(i, j), or added to out_j.
///
/// Shapes    out (cols of m).
template <number S>
void add_column_sums(S* out, const_view<S> m, start how = start::fresh) {
  add_column_sums(out, m.rows(), m.cols(), how,
                  [m](Index i, Index j, Index count) { return pack<S>::load(m.row(i) + j, count); });
}

}  // namespace formwork
