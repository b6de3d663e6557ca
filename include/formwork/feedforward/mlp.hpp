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
/// Source    Vaswani et al., 1706.03762, section 3.3.
template <real S, class Activation = gelu>
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
    (assign_value(value, m.activation), ...);
    return m;
  }

  var<S> operator()(const var<S>& x) const {
    require(x.cols() == up.in(), "mlp: x is ", shape_text(x), " but up.weight is ", shape_text(up.weight),
            "; needs x.width = weight.in");
    auto y = x.tape().output(x.rows(), down.out(), x.shared_batch());
    matrix<S> a(x.rows(), up.out());
    {
      matrix<S> h(x.rows(), up.out());
      product_nn<S>(h, x.value(), up.weight.value(), start::fresh,
                    chained(up.bias_epilogue(), activate<S, Activation>{activation, a}));
      down.forward(y.write(), h);
    }
    return record(
        y,
        [x, a = std::move(a), up = up.weight.address(), up_bias = up.bias.address(), down = down.weight.address(),
         down_bias = down.bias.address(), act = activation](matrix<S>& dy) {
          using gradient = gradient_of_parameter<S>;
          matrix<S> h(a.rows(), a.cols()), da(a.rows(), a.cols());
          product_nt<S>(da, dy, down->value, start::fresh, activate_backward<S, Activation>{act, a, h});
          gradient(down).add([&](view<S> sum, start how) { product_tn(sum, h, dy, how); });
          gradient(down_bias).add([&](view<S> sum, start how) { add_column_sums(sum.data(), dy, how); });
          linear<S>::backward(gradient_of(x), gradient(up), gradient(up_bias), da, x.value(), up->value);
        },
        x, up.weight, up.bias, down.weight, down.bias);
  }

  template <class M>
  static auto fields(M& m) {
    return formwork::fields("up", m.up, "down", m.down);
  }
};

}  // namespace formwork
