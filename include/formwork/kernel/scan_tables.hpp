// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/complex.hpp>
#include <formwork/core/matrix.hpp>
#include <formwork/core/parallel.hpp>
#include <formwork/kernel/lane_product.hpp>

#include <algorithm>

namespace formwork::inline FORMWORK_ABI {

/// Tokens that a diagonal state space takes at once. The chunk's own Toeplitz part costs scan_chunk / 2 operations a token
/// and the carry's turn 4 modes / scan_chunk; 16 is where both are small beside the 4 modes of the rest.
inline constexpr Index scan_chunk = 16;

/// Real poles, or complex ones of which each stands for itself and its conjugate.
enum class poles { real, conjugate_pairs };

/// The discrete modes of a diagonal state space in every channel, or the gradients of all these numbers:
///
///   y_t = Σ_{j ≤ t} Σ_n Re(weight_n pole_n^(t - j)) u_j + skip u_t
///
/// Shapes    each (modes × channels), skip (1 × channels); without imaginary parts for real poles.
struct scan_modes {
  matrix<double> pole_re, pole_im, weight_re, weight_im, skip;

  scan_modes(poles kind, Index modes, Index channels)
      : pole_re(modes, channels), pole_im(kind == poles::real ? 0 : modes, channels), weight_re(modes, channels),
        weight_im(pole_im.rows(), channels), skip(1, channels) {}

  poles kind() const { return pole_im.rows() > 0 ? poles::conjugate_pairs : poles::real; }
  Index count() const { return pole_re.rows(); }
  Index channels() const { return pole_re.cols(); }
};

/// What a chunk of C = scan_chunk tokens does, as small matrices for every channel (a lane). For the carry c at its start
///
///   y_i = Σ_s observe(s, i) c_s + Σ_{j ≤ i} kernel(i - j) u_j,    c'_s = (turn c)_s + Σ_j control(s, j) u_j
///
/// A component s of the carry is a real mode, or the real or imaginary part of a complex one, neighbours. With the powers of
/// the pole p and the weight w: control = p^(C-1-j), turn = p^C, observe = (Re, -Im) w p^(i+1), kernel(l) = Σ Re(w p^l).
///
/// Shapes    observe and control (components × C), turn (components), kernel (C) for each group of lanes<S> channels.
/// Numerics  powers are formed in double by p^(l+1) = p^l p and rounded once.
/// Cost      about 12 operations in double an entry; (2 components + 1) C numbers a channel.
template <real S>
class scan_tables {
 public:
  /// All zero: sums of gradients start there.
  scan_tables(poles kind, Index modes, Index channels)
      : kind_(kind), modes_(modes), channels_(channels),
        numbers_((channels + lanes<S> - 1) / lanes<S>, (components() * (2 * row + 1) + scan_chunk) * lanes<S>, S(0)) {}

  explicit scan_tables(const scan_modes& from) : scan_tables(from.kind(), from.count(), from.channels()) {
    parallel_for(groups(), [&](Index g) { form(from, g); });
  }

  /// From the gradients of the tables' numbers, which this object holds, those of the modes they were made of.
  void gradient(scan_modes& to, const scan_modes& made_of) const {
    parallel_for(groups(), [&](Index g) { pull_back(to, made_of, g); });
  }

  poles kind() const { return kind_; }
  Index modes() const { return modes_; }
  Index channels() const { return channels_; }
  Index components() const { return kind_ == poles::real ? modes_ : 2 * modes_; }
  Index groups() const { return numbers_.rows(); }

  lane_matrix<S> observe(Index g) { return {at(g, 0), row, 1}; }
  lane_matrix<const S> observe(Index g) const { return {at(g, 0), row, 1}; }
  lane_matrix<S> control(Index g) { return {at(g, components() * row), row, 1}; }
  lane_matrix<const S> control(Index g) const { return {at(g, components() * row), row, 1}; }
  S* turn(Index g) { return at(g, 2 * components() * row); }
  const S* turn(Index g) const { return at(g, 2 * components() * row); }
  S* kernel(Index g) { return at(g, components() * (2 * row + 1)); }
  const S* kernel(Index g) const { return at(g, components() * (2 * row + 1)); }

 private:
  using D = pack<double>;
  static constexpr Index row = scan_chunk + 1;  // packs: a power of two would put a column into a few sets of the cache
  static constexpr int parts = lanes<S> / lanes<double>;  // packs of doubles for one of S

  S* at(Index g, Index pack) { return numbers_.row(g) + pack * lanes<S>; }
  const S* at(Index g, Index pack) const { return numbers_.row(g) + pack * lanes<S>; }

  /// Numbers of one group in double, a row for each index.
  using wide_row = double[lanes<S>];
  static pack<S> rounded(const wide_row& x) {
    if constexpr (parts == 1)
      return pack<S>::load(x);
    else
      return narrow(D::load(x), D::load(x + lanes<double>));
  }
  static void widened(wide_row& to, const S* from) {
    if constexpr (parts == 1) {
      pack<S>::load(from).store(to);
    } else {
      D low, high;
      widen(pack<S>::load(from), low, high);
      low.store(to), high.store(to + lanes<double>);
    }
  }

  /// f(first lane, first channel, how many) for each pack of doubles of a group.
  template <class F>
  void each_part(Index g, F f) const {
    for (int p = 0; p < parts; ++p) {
      const Index lane = p * lanes<double>, channel = g * lanes<S> + lane;
      if (channel < channels_) f(lane, channel, std::min<Index>(lanes<double>, channels_ - channel));
    }
  }
  complex<D> load(const matrix<double>& re, const matrix<double>& im, Index n, Index channel, Index count) const {
    return {D::load(re.row(n) + channel, count), kind_ == poles::real ? D(0) : D::load(im.row(n) + channel, count)};
  }
  void store(complex<D> z, matrix<double>& re, matrix<double>& im, Index n, Index channel, Index count) const {
    z.re.store(re.row(n) + channel, count);
    if (kind_ != poles::real) z.im.store(im.row(n) + channel, count);
  }

  void form(const scan_modes& from, Index g) {
    constexpr Index C = scan_chunk;
    alignas(64) wide_row sums[C] = {}, re[C + 1] = {}, im[C + 1] = {}, weighted_re[C + 1] = {}, weighted_im[C + 1] = {};
    each_part(g, [&](Index lane, Index channel, Index count) {
      D::load(from.skip.data() + channel, count).store(sums[0] + lane);
    });
    for (Index n = 0; n < modes_; ++n) {
      each_part(g, [&](Index lane, Index channel, Index count) {
        const auto pole = load(from.pole_re, from.pole_im, n, channel, count);
        const auto weight = load(from.weight_re, from.weight_im, n, channel, count);
        complex<D> power{D(1), D(0)};
        for (Index l = 0; l <= C; ++l, power = power * pole) {
          const complex<D> w = weight * power;
          power.re.store(re[l] + lane), power.im.store(im[l] + lane);
          w.re.store(weighted_re[l] + lane), w.im.store(weighted_im[l] + lane);
          if (l < C) (D::load(sums[l] + lane) + w.re).store(sums[l] + lane);
        }
      });
      const Index s = kind_ == poles::real ? n : 2 * n;
      for (Index l = 0; l < C; ++l) {
        rounded(re[C - 1 - l]).store(control(g).at(s, l));
        rounded(weighted_re[l + 1]).store(observe(g).at(s, l));
        if (kind_ == poles::real) continue;
        rounded(im[C - 1 - l]).store(control(g).at(s + 1, l));
        (-rounded(weighted_im[l + 1])).store(observe(g).at(s + 1, l));
      }
      rounded(re[C]).store(turn(g) + s * lanes<S>);
      if (kind_ != poles::real) rounded(im[C]).store(turn(g) + (s + 1) * lanes<S>);
    }
    for (Index l = 0; l < C; ++l) rounded(sums[l]).store(kernel(g) + l * lanes<S>);
  }

  /// With G_l the gradient of w p^l and F_l that of p^l, z = p̄: dw = Σ G_l z^l, dp = d/dz (w̄ Σ G_l z^l + Σ F_l z^l), by
  /// Horner's rule with its derivative.
  void pull_back(scan_modes& to, const scan_modes& made_of, Index g) const {
    constexpr Index C = scan_chunk;
    alignas(64) wide_row of_kernel[C + 1] = {}, f_re[C + 1] = {}, f_im[C + 1] = {}, g_re[C + 1] = {}, g_im[C + 1] = {};
    for (Index l = 0; l < C; ++l) widened(of_kernel[l], kernel(g) + l * lanes<S>);
    each_part(g, [&](Index lane, Index channel, Index count) {
      D::load(of_kernel[0] + lane).store(to.skip.data() + channel, count);
    });
    for (Index n = 0; n < modes_; ++n) {
      const Index s = kind_ == poles::real ? n : 2 * n;
      for (Index l = 0; l < C; ++l) {
        widened(f_re[C - 1 - l], control(g).at(s, l));
        widened(g_re[l + 1], observe(g).at(s, l));
        if (kind_ == poles::real) continue;
        widened(f_im[C - 1 - l], control(g).at(s + 1, l));
        widened(g_im[l + 1], observe(g).at(s + 1, l));
      }
      widened(f_re[C], turn(g) + s * lanes<S>);
      if (kind_ != poles::real) widened(f_im[C], turn(g) + (s + 1) * lanes<S>);
      each_part(g, [&](Index lane, Index channel, Index count) {
        const auto z = conj(load(made_of.pole_re, made_of.pole_im, n, channel, count));
        const auto w = conj(load(made_of.weight_re, made_of.weight_im, n, channel, count));
        complex<D> weighted{D(0), D(0)}, all = weighted, slope = weighted;
        for (Index l = C; l >= 0; --l) {
          const complex<D> G{D::load(of_kernel[l] + lane) + D::load(g_re[l] + lane), -D::load(g_im[l] + lane)};
          const complex<D> F{D::load(f_re[l] + lane), D::load(f_im[l] + lane)};
          weighted = fma(weighted, z, G);
          slope = fma(slope, z, all);
          all = fma(all, z, fma(w, G, F));
        }
        store(weighted, to.weight_re, to.weight_im, n, channel, count);
        store(slope, to.pole_re, to.pole_im, n, channel, count);
      });
    }
  }

  poles kind_;
  Index modes_, channels_;
  matrix<S> numbers_;
};

}  // namespace formwork
