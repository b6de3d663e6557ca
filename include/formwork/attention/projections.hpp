// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/heads.hpp>
#include <formwork/layer/linear.hpp>

#include <utility>

namespace formwork::inline FORMWORK_ABI {

/// The four weights around a mixer of queries, keys and values; the products of the first three are made in one pass and lie
/// side by side in one matrix.
///
/// Shapes    Q (width × query_heads · key_width), K (width × key_heads · key_width), V (width × value_heads · head_width), O
///           (output_heads · head_width × width).
/// Throws    argument_error for an input of another width.
template <number S>
struct projections {
  linear<S> query, key, value, output;
  head_shape shape;

  static projections make(const builder& b, const head_shape& h) {
    const Index width = b.sizes.width;
    return {linear<S>::make(b, width, h.query_heads * h.key_width, place::query),
            linear<S>::make(b, width, h.key_heads * h.key_width, place::key),
            linear<S>::make(b, width, h.value_heads * h.head_width, place::value),
            linear<S>::make(b, h.output_heads * h.head_width, width, place::output), h};
  }

  template <class M>
  static auto fields(M& m) {
    return formwork::fields("query", m.query, "key", m.key, "value", m.value, "output", m.output);
  }

  /// q, k, v of x (tokens × width).
  matrix<S> project(const var<S>& x, const char* name) const {
    require_width(x, name, "x");
    matrix<S> qkv(x.rows(), query.out() + key.out() + value.out());
    products<S>(operands::nn, x.value(), start::fresh, to(q(qkv, shape), query), to(k(qkv, shape), key),
                to(v(qkv, shape), value));
    return qkv;
  }
  /// q alone, of x, and k and v alone, of another text's rows: for a shape without_queries.
  matrix<S> project_queries(const var<S>& x, const char* name) const {
    require_width(x, name, "x");
    matrix<S> queries(x.rows(), query.out());
    query.forward(queries, x.value());
    return queries;
  }
  matrix<S> project_memory(const var<S>& memory, const char* name) const {
    require_width(memory, name, "memory");
    const head_shape h = without_queries(shape);
    matrix<S> kv(memory.rows(), key.out() + value.out());
    products<S>(operands::nn, memory.value(), start::fresh, to(k(kv, h), key), to(v(kv, h), value));
    return kv;
  }
  static head_shape without_queries(head_shape h) {
    h.query_heads = 0;
    return h;
  }

  /// Their columns, in a matrix or in that of their gradients.
  template <class M>
  static auto q(M& qkv, const head_shape& h) {
    return qkv.cols(0, h.query_heads * h.key_width);
  }
  template <class M>
  static auto k(M& qkv, const head_shape& h) {
    return qkv.cols(h.query_heads * h.key_width, h.key_heads * h.key_width);
  }
  template <class M>
  static auto v(M& qkv, const head_shape& h) {
    return qkv.cols((h.query_heads + h.key_heads) * h.key_width, h.value_heads * h.head_width);
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
      backward(0, x, q(d, shape)), backward(1, x, k(d, shape)), backward(2, x, v(d, shape));
    }
    /// The same where k and v are of another text's rows.
    void backward(const var<S>& x, const var<S>& memory, const matrix<S>& dq, const matrix<S>& dkv) const {
      const head_shape h = without_queries(shape);
      backward(0, x, dq), backward(1, memory, k(dkv, h)), backward(2, memory, v(dkv, h));
    }

   private:
    void backward(int i, const var<S>& x, view<const S> d) const {
      linear<S>::backward(gradient_of(x), gradient_of_parameter<S>(weight[i]), gradient_of_parameter<S>(bias[i]), d, x.value(),
                          weight[i]->value);
    }
  };

  /// record(), for a y computed from q, k and v, and from what else is learned.
  template <class Backward, class... More>
  var<S> record_from(const var<S>& x, const var<S>& y, Backward&& backward, const More&... more) const {
    return record(y, std::forward<Backward>(backward), x, query.weight, query.bias, key.weight, key.bias, value.weight, value.bias,
                  more...);
  }

 private:
  static auto to(view<S> part, const linear<S>& by) { return into(part, by.weight.value(), by.bias_epilogue()); }
  void require_width(const var<S>& rows, const char* op, const char* name) const {
    require(rows.cols() == query.in(), op, ": ", name, " is ", shape_text(rows), " but query.weight is ",
            shape_text(query.weight), "; needs ", name, ".width = weight.in");
  }
};

}  // namespace formwork
