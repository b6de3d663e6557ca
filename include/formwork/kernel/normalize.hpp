// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/matrix.hpp>
#include <formwork/core/parallel.hpp>
#include <formwork/kernel/transform.hpp>

#include <cmath>

namespace formwork::inline FORMWORK_ABI {

// Rms norm and layer norm, each row alone: y = γ ⊙ x̂ (+ β) with x̂ = (x - μ) r, r = 1 / √(mean((x - μ)²) + ε); rms norm has
// μ = 0. The functions named add_... first form sum = x + residual in the same pass.
//
// Numerics  sums over a row have a shape fixed by the width (four packs of chains), r is formed in double; gradients of gain
//           and bias are chains of 32 rows in row order, and a chain of those: the same bits for any number of threads.
// Cost      bound by memory: forward reads x and writes y, backward reads dy and x and writes dx, once each.

/// Σ term(j, count) over a row of n numbers; term gives a pack of the numbers from j on, `count` of them valid.
template <number S, class Term>
FORMWORK_INLINE S row_sum(Index n, Term term) {
  using P = pack<S>;
  constexpr Index wide = 4 * P::size;
  P a[4] = {P(0), P(0), P(0), P(0)};
  Index j = 0;
  for (; j + wide <= n; j += wide)
#pragma GCC unroll 4
    for (int c = 0; c < 4; ++c) a[c] = term(j + c * P::size, Index(P::size), a[c]);
#pragma GCC unroll 4
  for (int c = 0; c < 4; ++c, j += P::size) {
    if (j + P::size <= n)
      a[c] = term(j, Index(P::size), a[c]);
    else if (j < n)
      a[c] = select(P::ramp(0) < P(n - j), term(j, n - j, a[c]), a[c]);
  }
  return sum((a[0] + a[2]) + (a[1] + a[3]));
}

/// The packs of a row: f(j, count), the last one with count < lanes where the width is no multiple.
template <number S, class F>
FORMWORK_INLINE void each_pack(Index n, F f) {
  Index j = 0;
  for (; j + lanes<S> <= n; j += lanes<S>) f(j, Index(lanes<S>));
  if (j < n) f(j, n - j);
}

enum class centring {
  none,  ///< rms norm: μ = 0
  mean   ///< layer norm: μ is the row's mean
};

/// The two numbers of a row: μ and r.
template <number S>
struct row_statistics {
  S mean, inverse;

  template <centring Centre>
  static FORMWORK_INLINE row_statistics of(const S* x, Index n, double epsilon) {
    using P = pack<S>;
    const double count = static_cast<double>(n);
    S mean(0);
    if constexpr (Centre == centring::mean)
      mean = rounded<S>(widened(row_sum<S>(n, [x](Index j, Index c, P a) { return a + P::load(x + j, c); })) / count);
    const S squares = row_sum<S>(n, [x, m = P(mean)](Index j, Index c, P a) {
      P v = P::load(x + j, c);
      if constexpr (Centre == centring::mean) v = v - m;
      return fma(v, v, a);
    });
    using std::sqrt;
    return {mean, rounded<S>(1 / sqrt(widened(squares) / count + epsilon))};
  }
};

/// What the four forward functions share. `mean` and `inverse` may be null where no backward follows, `bias` where there is
/// none; sum and residual are empty unless a residual is added.
template <centring Centre, number S>
void normalize_rows(view<S> y, S* mean, S* inverse, view<const S> x, const S* gain, const S* bias, double epsilon, view<S> sum,
                    view<const S> residual) {
  using P = pack<S>;
  const Index n = y.cols();
  parallel_ranges(y.rows(), rows_per_task(n), [&](Index first, Index last) {
    for (Index i = first; i < last; ++i) {
      const S* from = x.row(i);
      if (sum.data()) {
        S* to = sum.row(i);
        const S* other = residual.row(i);
        each_pack<S>(n, [&](Index j, Index c) { (P::load(from + j, c) + P::load(other + j, c)).store(to + j, c); });
        from = to;
      }
      const auto at = row_statistics<S>::template of<Centre>(from, n, epsilon);
      S* out = y.row(i);
      const P m(at.mean), r(at.inverse);
      const auto normal = [&](Index j, Index c) {
        P v = P::load(from + j, c);
        if constexpr (Centre == centring::mean) v = v - m;
        return v * r;
      };
      if (bias)
        each_pack<S>(n, [&](Index j, Index c) {
          fma(normal(j, c), P::load(gain + j, c), P::load(bias + j, c)).store(out + j, c);
        });
      else
        each_pack<S>(n, [&](Index j, Index c) { (normal(j, c) * P::load(gain + j, c)).store(out + j, c); });
      if (mean) mean[i] = at.mean;
      if (inverse) inverse[i] = at.inverse;
    }
  });
}

/// What a backward pass reads. dsum is the gradient that arrives at the sum beside the norm's, or empty.
template <number S>
struct norm_backward_inputs {
  view<const S> dy, x;
  const S *mean, *inverse, *gain;
  view<const S> dsum;
};

/// Row i of a backward pass: put(j, count, dx) takes dx = r (g - mean(g) - x̂ mean(g ⊙ x̂)) with g = dy ⊙ γ; dgain and dbias
/// continue their chains over the rows.
template <centring Centre, number S, class Put>
void normalize_backward_row(Put put, S* dgain, S* dbias, const norm_backward_inputs<S>& in, Index i) {
  using P = pack<S>;
  const Index n = in.dy.cols();
  const S *d = in.dy.row(i), *x = in.x.row(i);
  const P mean(Centre == centring::mean ? in.mean[i] : S(0)), inverse(in.inverse[i]);
  const auto centred = [=](Index j, Index c) {
    const P v = P::load(x + j, c);
    if constexpr (Centre == centring::mean) return v - mean;
    return v;
  };
  const auto inverse_in_double = widened(in.inverse[i]), per_number = inverse_in_double / static_cast<double>(n);
  // dgain and dbias stay out of the loop that writes dx: their stores would queue behind those that miss the cache.
  const S along = row_sum<S>(n, [&](Index j, Index c, P a) {
    const P dy = P::load(d + j, c), v = centred(j, c);
    if (dgain) fma(dy, v * inverse, P::load(dgain + j)).store(dgain + j);
    if (dbias) (dy + P::load(dbias + j)).store(dbias + j);
    return fma(dy * P::load(in.gain + j, c), v, a);
  });
  const P slope(rounded<S>(-per_number * inverse_in_double * widened(along)));
  P mean_g(0);
  if constexpr (Centre == centring::mean)
    mean_g = P(rounded<S>(widened(row_sum<S>(n, [&](Index j, Index c, P a) {
                 return fma(P::load(d + j, c), P::load(in.gain + j, c), a);
               })) / static_cast<double>(n)));
  each_pack<S>(n, [&](Index j, Index c) {
    P g = P::load(d + j, c) * P::load(in.gain + j, c);
    if constexpr (Centre == centring::mean) g = g - mean_g;
    put(j, c, inverse * fma(slope, centred(j, c), g));
  });
}

/// The first chunk's row becomes Σ of all chunks' rows, a chain in their order, and goes to out.
template <number S>
void sum_of_chunks(S* out, S* chunk, Index chunks, Index stride, Index n, start how) {
  using P = pack<S>;
  for (Index k = 1; k < chunks; ++k)
    each_pack<S>(n, [&](Index j, Index) { (P::load(chunk + j) + P::load(chunk + k * stride + j)).store(chunk + j); });
  each_pack<S>(n, [&](Index j, Index c) {
    const P sum = chunks > 0 ? P::load(chunk + j) : P(0);
    (how == start::continued ? P::load(out + j, c) + sum : sum).store(out + j, c);
  });
}

template <centring Centre, number S>
void normalize_backward(view<S> dx, S* dgain, S* dbias, const norm_backward_inputs<S>& in, start dx_start, start dgain_start,
                        start dbias_start) {
  using P = pack<S>;
  const Index n = dx.cols(), rows = dx.rows(), stride = padded<S>(n);
  const Index chunk_rows = std::max<Index>((rows + 63) / 64, 32), chunks = (rows + chunk_rows - 1) / chunk_rows;
  const Index sums = Index(dgain != nullptr) + Index(dbias != nullptr);
  const scratch<S> partial(std::max<Index>(chunks * stride * sums, 1));
  S* const gain_part = dgain ? partial.data() : nullptr;
  S* const bias_part = dbias ? partial.data() + (sums - 1) * chunks * stride : nullptr;
  parallel_for(chunks, [&](Index k) {
    S* const g = gain_part ? gain_part + k * stride : nullptr;
    S* const b = bias_part ? bias_part + k * stride : nullptr;
    if (g) std::fill_n(g, stride, S(0));
    if (b) std::fill_n(b, stride, S(0));
    const Index last = std::min((k + 1) * chunk_rows, rows);
    for (Index i = k * chunk_rows; i < last; ++i) {
      S* const to = dx.row(i);
      if (dx_start == start::fresh && !in.dsum.data())
        normalize_backward_row<Centre, S>([=](Index j, Index c, P v) { v.store(to + j, c); }, g, b, in, i);
      else
        normalize_backward_row<Centre, S>(
            [=, &in](Index j, Index c, P v) {
              if (in.dsum.data()) v = v + P::load(in.dsum.row(i) + j, c);
              if (dx_start == start::continued) v = P::load(to + j, c) + v;
              v.store(to + j, c);
            },
            g, b, in, i);
    }
  });
  if (dgain) sum_of_chunks(dgain, gain_part, chunks, stride, n, dgain_start);
  if (dbias) sum_of_chunks(dbias, bias_part, chunks, stride, n, dbias_start);
}

/// y = γ ⊙ x r with r = 1 / √(mean(x²) + ε).
///
/// Shapes    x, y (rows × width), gain (width), inverse_rms (rows) or null where no backward follows.
/// Numerics  error ≤ 2 × that of a naive loop + 4 eps (normalize_test.cpp).
/// Source    Zhang and Sennrich, 1910.07467.
template <number S>
void rms_norm_forward(view<S> y, std::type_identity_t<S>* inverse_rms, const_view<S> x, const std::type_identity_t<S>* gain,
                      double epsilon) {
  normalize_rows<centring::none, S>(y, nullptr, inverse_rms, x, gain, nullptr, epsilon, {}, {});
}

/// sum = x + residual; y = γ ⊙ sum r. x may be sum.
template <number S>
void add_rms_norm_forward(view<S> sum, view<S> y, std::type_identity_t<S>* inverse_rms, const_view<S> x,
                          const_view<S> residual, const std::type_identity_t<S>* gain, double epsilon) {
  normalize_rows<centring::none, S>(y, nullptr, inverse_rms, x, gain, nullptr, epsilon, sum, residual);
}

/// dx = r (g - x̂ mean(g ⊙ x̂)) with g = dy ⊙ γ; dgain = Σ over rows of dy ⊙ x̂, unless null. dx may be dy.
///
/// Identity  Σ dx ⊙ x̂ = 0 where ε = 0.
template <number S>
void rms_norm_backward(view<S> dx, std::type_identity_t<S>* dgain, const_view<S> dy, const_view<S> x,
                       const std::type_identity_t<S>* inverse_rms, const std::type_identity_t<S>* gain,
                       start dx_start = start::fresh, start dgain_start = start::fresh) {
  normalize_backward<centring::none, S>(dx, dgain, nullptr, {dy, x, nullptr, inverse_rms, gain, {}}, dx_start, dgain_start,
                                        start::fresh);
}

/// The gradient of x and of residual alike: dsum, which arrives at the sum itself, plus the norm's. dx may be dsum or dy.
template <number S>
void add_rms_norm_backward(view<S> dx, std::type_identity_t<S>* dgain, const_view<S> dy, const_view<S> dsum,
                           const_view<S> sum, const std::type_identity_t<S>* inverse_rms, const std::type_identity_t<S>* gain,
                           start dx_start = start::fresh, start dgain_start = start::fresh) {
  normalize_backward<centring::none, S>(dx, dgain, nullptr, {dy, sum, nullptr, inverse_rms, gain, dsum}, dx_start, dgain_start,
                                        start::fresh);
}

/// y = γ ⊙ (x - μ) r + β with μ = mean(x), r = 1 / √(mean((x - μ)²) + ε).
///
/// Shapes    x, y (rows × width), gain (width), bias (width) or null; mean and inverse_deviation (rows) or null.
/// Numerics  error ≤ 2 × that of a naive loop + 4 eps; the variance in two passes.
/// Source    Ba, Kiros and Hinton, 1607.06450.
template <number S>
void layer_norm_forward(view<S> y, std::type_identity_t<S>* mean, std::type_identity_t<S>* inverse_deviation, const_view<S> x,
                        const std::type_identity_t<S>* gain, const std::type_identity_t<S>* bias, double epsilon) {
  normalize_rows<centring::mean, S>(y, mean, inverse_deviation, x, gain, bias, epsilon, {}, {});
}

/// sum = x + residual; y = γ ⊙ (sum - μ) r + β. x may be sum.
template <number S>
void add_layer_norm_forward(view<S> sum, view<S> y, std::type_identity_t<S>* mean, std::type_identity_t<S>* inverse_deviation,
                            const_view<S> x, const_view<S> residual, const std::type_identity_t<S>* gain,
                            const std::type_identity_t<S>* bias, double epsilon) {
  normalize_rows<centring::mean, S>(y, mean, inverse_deviation, x, gain, bias, epsilon, sum, residual);
}

/// dx = r (g - mean(g) - x̂ mean(g ⊙ x̂)) with g = dy ⊙ γ; dgain = Σ dy ⊙ x̂ and dbias = Σ dy over rows, each unless null.
/// dx may be dy.
///
/// Identity  Σ dx = 0; Σ dx ⊙ x̂ = 0 where ε = 0.
template <number S>
void layer_norm_backward(view<S> dx, std::type_identity_t<S>* dgain, std::type_identity_t<S>* dbias, const_view<S> dy,
                         const_view<S> x, const std::type_identity_t<S>* mean,
                         const std::type_identity_t<S>* inverse_deviation, const std::type_identity_t<S>* gain,
                         start dx_start = start::fresh, start dgain_start = start::fresh, start dbias_start = start::fresh) {
  normalize_backward<centring::mean, S>(dx, dgain, dbias, {dy, x, mean, inverse_deviation, gain, {}}, dx_start, dgain_start,
                                        dbias_start);
}

/// The gradient of x and of residual alike. dx may be dsum or dy.
template <number S>
void add_layer_norm_backward(view<S> dx, std::type_identity_t<S>* dgain, std::type_identity_t<S>* dbias, const_view<S> dy,
                             const_view<S> dsum, const_view<S> sum, const std::type_identity_t<S>* mean,
                             const std::type_identity_t<S>* inverse_deviation, const std::type_identity_t<S>* gain,
                             start dx_start = start::fresh, start dgain_start = start::fresh,
                             start dbias_start = start::fresh) {
  normalize_backward<centring::mean, S>(dx, dgain, dbias, {dy, sum, mean, inverse_deviation, gain, dsum}, dx_start,
                                        dgain_start, dbias_start);
}

}  // namespace formwork
