// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/feature.hpp>
#include <formwork/contract/module.hpp>
#include <formwork/core/random.hpp>
#include <formwork/core/reduce.hpp>
#include <formwork/kernel/linear_attend_chunk.hpp>
#include <formwork/tape/fields.hpp>

#include <cmath>

namespace formwork::inline FORMWORK_ABI {

/// What favor does to rows of queries and keys: a view of its directions.
template <real S>
struct favor_rows {
  view<const S> directions;  ///< (key_width × features)
  double reach = 0;          ///< no key's exponent is larger

  Index width(Index) const { return directions.cols(); }

  void forward(view<S> y, view<const S> x, side of) const {
    chunk_product(y.data(), y.stride(), x.rows(), y.cols(), start::fresh, x.cols(), as_rows<S>(x.data(), x.stride()),
                  directions.data(), directions.stride());
    for (Index i = 0; i < x.rows(); ++i) {
      const double less = of == side::queries ? scale() * static_cast<double>(largest(y.row(i), y.cols()))
                                               : scale() * scale() * dot(x.row(i), x.row(i), x.cols()) / 2 + reach - headroom;
      for (Index j = 0; j < y.cols(); j += lanes<S>)
        exp(fma(pack<S>(scale()), pack<S>::load(y.row(i) + j), pack<S>(-less))).store(y.row(i) + j);
    }
  }
  /// With p = dy ⊙ y, dx = ω p, for keys - x Σ p besides. What a query subtracts changes no output, so it has no gradient.
  void backward(view<S> dx, view<S> dy, view<const S> y, view<const S> x, side of) const {
    const Index rows = x.rows(), stride = padded<S>(x.cols());
    const scratch<S> transposed(directions.cols() * stride), sums(rows * stride), totals(rows);
    for (Index i = 0; i < rows; ++i) {
      pack<S> total(0);
      for (Index j = 0; j < y.cols(); j += lanes<S>) {
        const pack<S> p = pack<S>::load(dy.row(i) + j) * pack<S>::load(y.row(i) + j);
        p.store(dy.row(i) + j);
        total += p;
      }
      totals[i] = of == side::keys ? sum(total) : S(0);
    }
    pack_panel_transposed<S>(transposed.data(), stride, directions);
    chunk_product(sums.data(), stride, rows, stride, start::fresh, y.cols(), as_rows<S>(dy.data(), dy.stride()),
                  transposed.data(), stride);
    for (Index i = 0; i < rows; ++i)
      for (Index j = 0; j < x.cols(); j += lanes<S>) {
        const Index count = x.cols() - j;
        const pack<S> own = pack<S>(-scale() * scale()) * pack<S>(totals[i]) * pack<S>::load(x.row(i) + j, count);
        fma(pack<S>(scale()), pack<S>::load(sums.data() + i * stride + j), own).store(dx.row(i) + j, count);
      }
  }

 private:
  static constexpr double headroom = 60;  // e^60 is the largest feature there can be
  double scale() const { return std::pow(static_cast<double>(directions.rows()), -0.25); }
};

/// FAVOR+, positive orthogonal random features: with q and k scaled by d^(-1/4),
///
///   φ(x) = exp(ωᵀx - ‖x‖²/2) for each direction ω,   E[φ(q) · φ(k)] / m = e^(q · k)
///
/// softmax attention's weight, unbiased. Directions are N(0, I), orthogonal in blocks of d: an orthonormal basis drawn evenly, and
/// lengths as independent Gaussian vectors have.
///
/// Shapes    `features` m, a multiple of 16; directions (key_width × m), drawn by make(), frozen, in checkpoints.
/// Numerics  what all weights of a query have in common is left out: 1/m, the ‖q‖² term, the largest exponent of the query. Of a
///           key ωᵀk - ‖k‖²/2 <= ‖ω‖²/2 whatever the key is, and this bound less 60 is subtracted from every key: features stay
///           below e^60, and as the bound needs no key, causal and incremental forms need no running maximum and agree in all
///           bits. In float a key's feature vanishes where it is e^147 times smaller than the bound; the largest one
///           of a key of width 128 and deviation 3 is above 1e-30 (feature_maps_test.cpp), smaller ones of it may vanish.
/// Cost      2 key_width m operations a row and head forward and as many backward, beside linear attention's with m features.
/// Throws    argument_error where `features` is not a multiple of 16.
/// Source    Choromanski et al., 2009.14794.
/// Differs   no 1e-4 is added to features; directions are not redrawn; public code subtracts the largest exponent of all keys,
///           later ones included.
template <real S>
struct favor {
  using plugs_into = slot::feature;
  using scalar = S;
  static constexpr turned turns = turned::inputs;

  Index features = 0;         ///< m; 0: 4 key_width, in whole 16s
  parameter<S> directions{};  ///< ω

  Index width(Index) const { return directions.cols(); }
  template <std::same_as<S> T>
  favor_rows<T> prepared(Index) const {
    const view<const S> w = directions.value();
    double most = 0;
    for (Index f = 0; f < w.cols(); ++f) {
      double square = 0;
      for (Index i = 0; i < w.rows(); ++i) square += double(w(i, f)) * double(w(i, f));
      most = std::max(most, square);
    }
    return {w, most / 2};
  }

  template <class Builder>
  static favor make(const Builder& b, const favor& wanted) {
    const Index d = b.sizes.key_width > 0 ? b.sizes.key_width : b.sizes.width / b.sizes.heads;
    const Index m = wanted.features > 0 ? wanted.features : (4 * d + 15) / 16 * 16;
    require(m % 16 == 0, "favor: features is ", m, "; needs a multiple of 16");
    matrix<S> w(d, m);
    for (Index first = 0; first < m; first += d) draw_block(w.all().cols(first, std::min(d, m - first)), b.random);
    favor made{m, {std::move(w), role::table}};
    made.directions.freeze();
    return made;
  }

  template <class M>
  static auto fields(M& m) {
    return formwork::fields("directions", m.directions);
  }

 private:
  /// Columns orthogonal to one another: Gaussian ones less what earlier ones have of them, twice, so that rounding does not stay.
  static void draw_block(view<S> w, rng& random) {
    const Index d = w.rows();
    matrix<double> basis(w.cols(), d), lengths(w.cols(), d);
    random.fill_normal(basis, 1), random.fill_normal(lengths, 1);
    for (Index f = 0; f < w.cols(); ++f) {
      double* const x = basis.row(f);
      for (int pass = 0; pass < 2; ++pass)
        for (Index g = 0; g < f; ++g) {
          const double along = dot(x, basis.row(g), d);
          for (Index i = 0; i < d; ++i) x[i] -= along * basis(g, i);
        }
      const double inverse = 1 / std::sqrt(dot(x, x, d)), length = std::sqrt(dot(lengths.row(f), lengths.row(f), d));
      for (Index i = 0; i < d; ++i) {
        x[i] *= inverse;
        w(i, f) = S(x[i] * length);
      }
    }
  }
};
static_assert(feature_policy<favor<float>> && feature_policy<favor<double>>);

}  // namespace formwork
