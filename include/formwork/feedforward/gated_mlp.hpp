// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/activation/silu.hpp>
#include <formwork/contract/mixer.hpp>
#include <formwork/layer/linear.hpp>

namespace formwork::inline FORMWORK_ABI {

/// y = (act(x G + g) ⊙ (x U + u)) D + d. With silu it is SwiGLU, with gelu GEGLU.
///
/// Shapes    x, y (tokens × width), G and U (width × hidden), D (hidden × width); hidden is 8/3 width in whole 32s by default,
///           so that the parameters are those of an mlp of 4 width.
/// Numerics  keeps x and the two products; act and its slope are computed in the epilogue of the products.
/// Cost      blocks of rows_in_cache rows pass through all products before the next: h never leaves the cache.
/// Source    Shazeer, GLU variants improve transformer, 2002.05202.
template <number S, class Activation = silu>
struct gated_mlp {
  using plugs_into = slot::feedforward;
  using scalar = S;
  using policies = policy_list<Activation>;

  linear<S> gate, up, down;
  Activation activation = {};

  template <class... Value>
  static gated_mlp make(const builder& b, const Value&... value) {
    const Index width = b.sizes.width, hidden = b.sizes.hidden > 0 ? b.sizes.hidden : (8 * width / 3 + 31) / 32 * 32;
    gated_mlp m{linear<S>::make(b, width, hidden, place::gate), linear<S>::make(b, width, hidden, place::up),
                linear<S>::make(b, hidden, width, place::down)};
    fill_slots(m, value...);
    return m;
  }

  var<S> operator()(const var<S>& x) const {
    require(x.cols() == gate.in(), "gated_mlp: x is ", shape_text(x), " but gate.weight is ", shape_text(gate.weight),
            "; needs x.width = weight.in");
    auto y = x.tape().output(x.rows(), down.out(), x.shared_batch());
    matrix<S> g(x.rows(), gate.out()), u(x.rows(), up.out()), h(std::min(x.rows(), rows_in_cache), up.out());
    in_stretches(x.rows(), rows_in_cache, 1, [&](stretch rows) {
      const view<S> here = h.rows(0, rows.count);
      products<S>(operands::nn, rows.of(x.value()), start::fresh, into<S>(rows.of(g), gate.weight.value(), gate.bias_epilogue()),
                  into<S>(here, up.weight.value(),
                          chained(up.bias_epilogue(), formwork::gate<S, Activation>{activation, rows.of(g), rows.of(u)})));
      down.forward(rows.of(y.write()), here);
    });
    return record(
        y,
        [x, g = std::move(g), u = std::move(u), part = parts(*this), act = activation](matrix<S>& dy) mutable {
          backward(x, g, u, part, act, dy);
        },
        x, gate.weight, gate.bias, up.weight, up.bias, down.weight, down.bias);
  }

  template <class M>
  static auto slots(M& m) {
    return std::tie(m.activation);
  }
  template <class M>
  static auto fields(M& m) {
    return formwork::fields("gate", m.gate, "up", m.up, "down", m.down);
  }

 private:
  /// What the recording remembers of the three projections.
  struct parts {
    typename parameter<S>::cell *gate, *gate_bias, *up, *up_bias, *down, *down_bias;
    explicit parts(const gated_mlp& m)
        : gate(m.gate.weight.address()), gate_bias(m.gate.bias.address()), up(m.up.weight.address()),
          up_bias(m.up.bias.address()), down(m.down.weight.address()), down_bias(m.down.bias.address()) {}
  };

  /// g becomes its own gradient. Sums over rows go on from block to block: the same chains.
  static void backward(const var<S>& x, matrix<S>& g, const matrix<S>& u, const parts& part, const Activation& act,
                       view<const S> dy) {
    using gradient = gradient_of_parameter<S>;
    const auto run = [&](view<S> dx, start how) {
      matrix<S> some_h(std::min(g.rows(), rows_in_cache), g.cols()), some_du(some_h.rows(), g.cols());
      in_stretches(g.rows(), rows_in_cache, 1, [&](stretch rows) {
        const view<S> h = some_h.rows(0, rows.count), du = some_du.rows(0, rows.count), dg = rows.of(g);
        product_nt<S>(du, rows.of(dy), part.down->value, start::fresh, gate_backward<S, Activation>{act, dg, rows.of(u), h});
        linear<S>::parameter_gradients(gradient(part.down), gradient(part.down_bias), rows.of(dy), h);
        linear<S>::parameter_gradients(gradient(part.gate), gradient(part.gate_bias), dg, rows.of(x.value()));
        linear<S>::parameter_gradients(gradient(part.up), gradient(part.up_bias), du, rows.of(x.value()));
        if (!dx.data()) return;
        product_nt<S>(rows.of(dx), dg, part.gate->value, how);
        product_nt<S>(rows.of(dx), du, part.up->value, start::continued);
      });
    };
    if (const auto dx = gradient_of(x); dx.wanted())
      dx.add(run);
    else
      run({}, start::fresh);
  }
};

}  // namespace formwork
