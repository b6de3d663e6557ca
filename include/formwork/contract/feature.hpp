// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/activation.hpp>
#include <formwork/contract/heads.hpp>
#include <formwork/core/matrix.hpp>
#include <formwork/core/sequences.hpp>

namespace formwork::inline FORMWORK_ABI {

/// A map of single numbers, written once, `template <class T> T operator()(T x) const`, and called with packs, and with duals of
/// packs for its slope.
template <class F>
concept feature_formula =
    activation_formula<F, pack<float>> && activation_formula<F, pack<double>> && activation_formula<F, pack<float, 1>> &&
    activation_formula<F, pack<double, 1>> && activation_formula<F, dual<pack<float>>> &&
    activation_formula<F, dual<pack<double>>>;

template <class F>
concept has_feature_width = requires(const F& f, Index key_width) {
  { f.width(key_width) } -> std::same_as<Index>;
};

/// A map of whole rows, any number of rows at once, each on its own: `forward(y, x, of)` writes y = φ(x), `backward(dx, dy, y, x,
/// of)` dx from dy, of which it may make what it likes. Columns past a view's are not its own.
template <class F, class S>
concept feature_rows = has_feature_width<F> && requires(const F& f, view<S> out, view<const S> in, side of) {
  f.forward(out, in, of);
  f.backward(out, out, in, in, of);
};

/// What a rotary position turns: the features, in the numerator only, or queries and keys before they are mapped, in numerator
/// and denominator, as attention does.
enum class turned { features, inputs };
template <class F>
inline constexpr bool turns_inputs = false;
template <class F>
  requires requires { F::turns; }
inline constexpr bool turns_inputs<F> = F::turns == turned::inputs;

/// The rows' map for keys of that width: the policy itself, or what it prepares: `template <real S> auto prepared(Index) const`.
template <real S, class F>
auto prepared(const F& feature, Index key_width) {
  if constexpr (requires { feature.template prepared<S>(key_width); })
    return feature.template prepared<S>(key_width);
  else
    return feature;
}

template <class F, class S>
concept maps_rows = requires(const F& f) {
  requires feature_rows<decltype(prepared<S>(f, Index())), S>;
  { F::turns } -> std::convertible_to<turned>;
};

/// A map whose keys' features depend on all keys of their sequence: `over_sequences(k, heads, batch)` changes the keys in place,
/// `over_sequences_backward(dk, k, heads, batch)` their gradients, given what the keys became.
template <class F, class S>
concept looks_over_sequences = requires(const F& f, view<S> k, view<const S> became, Index heads, const sequences& batch) {
  f.over_sequences(k, heads, batch);
  f.over_sequences_backward(k, became, heads, batch);
};

/// The map φ of linear attention, whose weights are φ(q) · φ(k): a formula for every number of queries and keys, or a map of
/// rows, which may have more or fewer features than the key has numbers, may look at the whole row, may differ for queries and
/// keys, and may hold numbers.
///
/// A weighted mean needs φ(q) · φ(k) >= 0. Where φ can vanish a query may find no weight at all: its output is then 0, and a sum
/// that is almost 0 makes the mean noisy. A map that can vanish therefore brings an epsilon of its own, as relu_plus_epsilon
/// does; nothing is added to the denominator.
///
/// Laws      of formulas: finite and >= 0 where the formula does not overflow; body and tail of a row get the same bits; the slope
///           matches central differences; NaN stays NaN (tests/laws/feature_laws.hpp). Of all: check_feature in
///           attention/feature_check.hpp.
template <class F>
concept feature_policy = policy<F> && std::same_as<typename F::plugs_into, slot::feature> &&
                         (feature_formula<F> || maps_rows<F, float> || maps_rows<F, double>);

}  // namespace formwork
