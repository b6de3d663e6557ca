// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/activation.hpp>
#include <formwork/layer/linear.hpp>

namespace formwork::inline FORMWORK_ABI {

/// 1 / (1 + e^-x), the gate of a GLU.
struct sigmoid_gate {
  template <class T>
  T operator()(T x) const {
    return sigmoid(x);
  }
};

/// y = (a V + v) ⊙ sigmoid(a G + g), a = act(h): what mixes the channels after a state space.
///
/// Shapes    h, y (tokens × width), V and G (width × width).
/// Cost      blocks of rows_in_cache rows pass through both products before the next.
/// Source    Gu et al., 2206.11893: activation, linear layer of twice the width, GLU (Dauphin et al., 1612.08083).
/// Differs   the two halves of the linear layer are parameters of their own.
template <real S, activation_policy Activation>
struct gated_output {
  linear<S> value, gate;

  static gated_output make(const builder& b, Index width) {
    return {linear<S>::make(b, width, width, place::output), linear<S>::make(b, width, width, place::gate)};
  }

  /// g and u (tokens × width) get both products, which the backward reads.
  void forward(view<S> y, view<const S> h, view<S> g, view<S> u, const Activation& act) const {
    matrix<S> some_a(std::min(h.rows(), rows_in_cache), h.cols());
    in_stretches(h.rows(), rows_in_cache, 1, [&](stretch rows) {
      const view<S> a = some_a.rows(0, rows.count);
      transform(a, [&](pack<S> x) { return act(x); }, rows.of(h));
      products<S>(operands::nn, a, start::fresh, into<S>(rows.of(g), gate.weight.value(), gate.bias_epilogue()),
                  into<S>(rows.of(y), value.weight.value(),
                          chained(value.bias_epilogue(), formwork::gate<S, sigmoid_gate>{{}, rows.of(g), rows.of(u)})));
    });
  }

  /// What a recording remembers.
  struct parts {
    typename parameter<S>::cell *value, *value_bias, *gate, *gate_bias;
    explicit parts(const gated_output& m)
        : value(m.value.weight.address()), value_bias(m.value.bias.address()), gate(m.gate.weight.address()),
          gate_bias(m.gate.bias.address()) {}

    /// dh, and the gradients of the four parameters; g becomes its own gradient, u that of a V + v.
    void backward(view<S> dh, view<const S> dy, view<const S> h, view<S> g, view<S> u, const Activation& act) const {
      using P = pack<S>;
      using gradient = gradient_of_parameter<S>;
      matrix<S> some_a(std::min(h.rows(), rows_in_cache), h.cols());
      in_stretches(h.rows(), rows_in_cache, 1, [&](stretch rows) {
        const view<S> a = some_a.rows(0, rows.count), dg = rows.of(g), du = rows.of(u);
        transform(a, [](P d, P x) { return d * sigmoid(x); }, rows.of(dy), dg);
        transform(dg, [](P d, P v, P x) { return d * v * sigmoid(dual<P>(x, P(1))).slope; }, rows.of(dy), du, dg);
        contribute<S>(du, start::fresh, a);
        product_nt<S>(rows.of(dh), dg, gate->value);
        product_nt<S>(rows.of(dh), du, value->value, start::continued, activate_backward<S, Activation>{act, rows.of(h), a});
        linear<S>::parameter_gradients(gradient(value), gradient(value_bias), du, a);
        linear<S>::parameter_gradients(gradient(gate), gradient(gate_bias), dg, a);
      });
    }
  };

  template <class M>
  static auto fields(M& m) {
    return formwork::fields("value", m.value, "gate", m.gate);
  }
};

}  // namespace formwork
