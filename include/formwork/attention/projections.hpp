// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/heads.hpp>
#include <formwork/layer/linear.hpp>

#include <utility>

namespace formwork::inline FORMWORK_ABI {

/// The four weights around a mixer of queries, keys and values; the products of the first three are made in one pass and lie
/// side by side in one matrix.
///
/// Shapes    Q (width × heads · key_width), K (width × key_heads · key_width), V (width × key_heads · head_width), O (heads ·
///           head_width × width). Sizes of 0 mean width / heads, and as many key heads as heads.
/// Throws    argument_error for sizes that do not divide, or an input of another width.
template <real S>
struct projections {
  linear<S> query, key, value, output;
  head_shape shape;

  static projections make(const builder& b, const char* name) {
    const head_shape shape = shape_of(b.sizes, name);
    const Index width = b.sizes.width;
    return {linear<S>::make(b, width, shape.heads * shape.key_width, place::query),
            linear<S>::make(b, width, shape.key_heads * shape.key_width, place::key),
            linear<S>::make(b, width, shape.key_heads * shape.head_width, place::value),
            linear<S>::make(b, shape.heads * shape.head_width, width, place::output), shape};
  }

  template <class M>
  static auto fields(M& m) {
    return formwork::fields("query", m.query, "key", m.key, "value", m.value, "output", m.output);
  }

  /// q, k, v of x (tokens × width).
  matrix<S> project(const var<S>& x, const char* name) const {
    require(x.cols() == query.in(), name, ": x is ", shape_text(x), " but query.weight is ", shape_text(query.weight),
            "; needs x.width = weight.in");
    matrix<S> qkv(x.rows(), query.out() + key.out() + value.out());
    const auto to = [](view<S> part, const linear<S>& by) { return into(part, by.weight.value(), by.bias_epilogue()); };
    products<S>(operands::nn, x.value(), start::fresh, to(q(qkv, shape), query), to(k(qkv, shape), key),
                to(v(qkv, shape), value));
    return qkv;
  }

  /// Their columns, in a matrix or in that of their gradients.
  template <class M>
  static auto q(M& qkv, const head_shape& h) {
    return qkv.cols(0, h.heads * h.key_width);
  }
  template <class M>
  static auto k(M& qkv, const head_shape& h) {
    return qkv.cols(h.heads * h.key_width, h.key_heads * h.key_width);
  }
  template <class M>
  static auto v(M& qkv, const head_shape& h) {
    return qkv.cols((h.heads + h.key_heads) * h.key_width, h.key_heads * h.head_width);
  }

  /// What a recording remembers of q, k and v: the layer may move before the backward pass.
  struct recorded {
    typename parameter<S>::cell *weight[3], *bias[3];
    head_shape shape;

    explicit recorded(const projections& p)
        : weight{p.query.weight.address(), p.key.weight.address(), p.value.weight.address()},
          bias{p.query.bias.address(), p.key.bias.address(), p.value.bias.address()}, shape(p.shape) {}

    /// The gradients of x and the parameters from those of q, k and v.
    void backward(const var<S>& x, const matrix<S>& d) const {
      const view<const S> parts[] = {q(d, shape), k(d, shape), v(d, shape)};
      for (int i = 0; i < 3; ++i)
        linear<S>::backward(gradient_of(x), gradient_of_parameter<S>(weight[i]), gradient_of_parameter<S>(bias[i]), parts[i],
                            x.value(), weight[i]->value);
    }
  };

  /// record(), for a y computed from q, k and v.
  template <class Backward>
  var<S> record_from(const var<S>& x, const var<S>& y, Backward&& backward) const {
    return record(y, std::forward<Backward>(backward), x, query.weight, query.bias, key.weight, key.bias, value.weight,
                  value.bias);
  }

 private:
  static head_shape shape_of(const sizes& z, const char* name) {
    require(z.heads > 0, name, ": heads is ", z.heads, "; needs > 0");
    require((z.key_width > 0 && z.head_width > 0) || z.width % z.heads == 0, name, ": width ", z.width,
            " is not divisible by heads ", z.heads,
            "; needs width = heads · key_width, or both key_width and head_width given");
    const head_shape r{z.heads, z.key_heads > 0 ? z.key_heads : z.heads, z.key_width > 0 ? z.key_width : z.width / z.heads,
                       z.head_width > 0 ? z.head_width : z.width / z.heads};
    require(r.heads % r.key_heads == 0, name, ": heads ", r.heads, " is not divisible by key_heads ", r.key_heads);
    return r;
  }
};

}  // namespace formwork
