// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/reduce.hpp>
#include <formwork/kernel/product.hpp>
#include <formwork/layer/builder.hpp>
#include <formwork/tape/fields.hpp>
#include <formwork/tape/tape.hpp>

namespace formwork::inline FORMWORK_ABI {

/// y = x W + b.
///
/// Shapes    x (tokens × in), W (in × out), b (1 × out) or absent, y (tokens × out).
/// Throws    argument_error where x.width ≠ weight.in.
template <number S>
struct linear {
  using scalar = S;

  parameter<S> weight;
  parameter<S> bias;

  static linear make(const builder& b, Index in, Index out, place where = place::none) {
    return {b.weight<S>(in, out, where),
            b.sizes.bias == biases::all ? builder::constant<S>(out, S(0), role::bias) : parameter<S>{}};
  }
  static linear make(Index in, Index out, rng& random, biases with = biases::none) {
    return make(builder{.sizes = {.bias = with}, .random = random}, in, out);
  }

  Index in() const { return weight.rows(); }
  Index out() const { return weight.cols(); }

  var<S> operator()(const var<S>& x) const {
    require(x.cols() == in(), "linear: x is ", shape_text(x), " but weight is ", shape_text(weight),
            "; needs x.width = weight.in");
    auto y = x.tape().output(x.rows(), out(), x.shared_batch());
    forward(y.write(), x.value());
    return record(
        y,
        [x, dx = gradient_of(x), w = weight.address(), dw = gradient_of(weight), db = gradient_of(bias)](matrix<S>& dy) {
          backward(dx, dw, db, dy, x.value(), w->value);
        },
        x, weight, bias);
  }

  /// The kernel alone, for ops that fuse several projections.
  void forward(view<S> y, view<const S> x) const {
    product_nn(y, x, weight.value(), start::fresh, bias_epilogue());
  }
  add_bias<S> bias_epilogue() const { return {bias ? bias.value().data() : nullptr}; }
  static void backward(const gradient_of_var<S>& dx, const gradient_of_parameter<S>& dw, const gradient_of_parameter<S>& db,
                       view<const S> dy, view<const S> x, view<const S> w) {
    dx.add([&](view<S> g, start how) { product_nt(g, dy, w, how); });
    parameter_gradients(dw, db, dy, x);
  }
  static void parameter_gradients(const gradient_of_parameter<S>& dw, const gradient_of_parameter<S>& db, view<const S> dy,
                                  view<const S> x) {
    dw.add([&](view<S> g, start how) { product_tn(g, x, dy, how); });
    db.add([&](view<S> g, start how) { add_column_sums(g.data(), dy, how); });
  }

  template <class M>
  static auto fields(M& m) {
    return formwork::fields("weight", m.weight, "bias", m.bias);
  }
};

}  // namespace formwork
