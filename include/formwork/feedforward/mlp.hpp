// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/activation/gelu.hpp>
#include <formwork/contract/mixer.hpp>
#include <formwork/layer/linear.hpp>

namespace formwork::inline FORMWORK_ABI {

/// y = act(x U + u) D + d.
///
/// Shapes    x, y (tokens × width), U (width × hidden), D (hidden × width); hidden is 4 width by default.
/// Numerics  keeps x and x U + u; act and its slope are computed in the epilogue of the products.
/// Cost      blocks of rows_in_cache rows pass through both products before the next: act(x U + u) never leaves the cache.
/// Source    Vaswani et al., 1706.03762, section 3.3.
template <number S, class Activation = gelu>
struct mlp {
  using plugs_into = slot::feedforward;
  using scalar = S;
  using policies = policy_list<Activation>;

  linear<S> up, down;
  Activation activation = {};

  template <class... Value>
  static mlp make(const builder& b, const Value&... value) {
    const Index width = b.sizes.width, hidden = b.sizes.hidden > 0 ? b.sizes.hidden : 4 * width;
    mlp m{linear<S>::make(b, width, hidden, place::up), linear<S>::make(b, hidden, width, place::down)};
    fill_slots(m, value...);
    return m;
  }

  var<S> operator()(const var<S>& x) const {
    require(x.cols() == up.in(), "mlp: x is ", shape_text(x), " but up.weight is ", shape_text(up.weight),
            "; needs x.width = weight.in");
    auto y = x.tape().output(x.rows(), down.out(), x.shared_batch());
    matrix<S> a(x.rows(), up.out()), h(std::min(x.rows(), rows_in_cache), up.out());
    in_stretches(x.rows(), rows_in_cache, 1, [&](stretch rows) {
      const view<S> here = h.rows(0, rows.count);
      product_nn<S>(here, rows.of(x.value()), up.weight.value(), start::fresh,
                    chained(up.bias_epilogue(), activate<S, Activation>{activation, rows.of(a)}));
      down.forward(rows.of(y.write()), here);
    });
    return record(
        y,
        [x, a = std::move(a), part = parts(*this), act = activation](matrix<S>& dy) { backward(x, a, part, act, dy); },
        x, up.weight, up.bias, down.weight, down.bias);
  }

  template <class M>
  static auto slots(M& m) {
    return std::tie(m.activation);
  }
  template <class M>
  static auto fields(M& m) {
    return formwork::fields("up", m.up, "down", m.down);
  }

 private:
  /// What the recording remembers of the two projections.
  struct parts {
    typename parameter<S>::cell *up, *up_bias, *down, *down_bias;
    explicit parts(const mlp& m)
        : up(m.up.weight.address()), up_bias(m.up.bias.address()), down(m.down.weight.address()), down_bias(m.down.bias.address()) {}
  };

  /// Sums over rows go on from block to block: the same chains.
  static void backward(const var<S>& x, const matrix<S>& a, const parts& part, const Activation& act, view<const S> dy) {
    using gradient = gradient_of_parameter<S>;
    const auto run = [&](view<S> dx, start how) {
      matrix<S> some_h(std::min(a.rows(), rows_in_cache), a.cols()), some_da(some_h.rows(), a.cols());
      in_stretches(a.rows(), rows_in_cache, 1, [&](stretch rows) {
        const view<S> h = some_h.rows(0, rows.count), da = some_da.rows(0, rows.count);
        product_nt<S>(da, rows.of(dy), part.down->value, start::fresh, activate_backward<S, Activation>{act, rows.of(a), h});
        linear<S>::parameter_gradients(gradient(part.down), gradient(part.down_bias), rows.of(dy), h);
        linear<S>::parameter_gradients(gradient(part.up), gradient(part.up_bias), da, rows.of(x.value()));
        if (dx.data()) product_nt<S>(rows.of(dx), da, part.up->value, how);
      });
    };
    if (const auto dx = gradient_of(x); dx.wanted())
      dx.add(run);
    else
      run({}, start::fresh);
  }
};

}  // namespace formwork
