// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/kernel/product.hpp>
#include <formwork/kernel/transform.hpp>
#include <formwork/core/dual.hpp>
#include <formwork/core/reduce.hpp>
#include <formwork/tape/tape.hpp>

#include <initializer_list>
#include <span>
#include <vector>

namespace formwork::inline FORMWORK_ABI {

template <number S>
void require_same_shape(const char* op, const var<S>& a, const var<S>& b) {
  require(a.rows() == b.rows() && a.cols() == b.cols(), op, ": a is ", shape_text(a), " but b is ", shape_text(b),
          "; needs equal shapes");
}

/// a + b.
///
/// Shapes    equal.
template <number S>
var<S> add(const var<S>& a, const var<S>& b) {
  require_same_shape("add", a, b);
  auto y = a.tape().output(a.rows(), a.cols(), a.shared_batch());
  transform(y.write(), [](pack<S> u, pack<S> v) { return u + v; }, a.value(), b.value());
  return record(
      y,
      [da = gradient_of(a), db = gradient_of(b)](matrix<S>& dy) {
        da.add([&](view<S> g, start how) { contribute<S>(g, how, dy); });
        db.add(std::move(dy));
      },
      a, b);
}

/// a - b.
template <number S>
var<S> subtract(const var<S>& a, const var<S>& b) {
  require_same_shape("subtract", a, b);
  auto y = a.tape().output(a.rows(), a.cols(), a.shared_batch());
  transform(y.write(), [](pack<S> u, pack<S> v) { return u - v; }, a.value(), b.value());
  return record(
      y,
      [da = gradient_of(a), db = gradient_of(b)](matrix<S>& dy) {
        db.add([&](view<S> g, start how) { contribute(g, how, [](pack<S> d) { return -d; }, dy); });
        da.add(std::move(dy));
      },
      a, b);
}

/// factor a + b, in one pass.
template <number S>
var<S> scaled_sum(double factor, const var<S>& a, const var<S>& b) {
  require_same_shape("scaled_sum", a, b);
  auto y = a.tape().output(a.rows(), a.cols(), a.shared_batch());
  const pack<S> f(factor);
  transform(y.write(), [f](pack<S> u, pack<S> v) { return fma(f, u, v); }, a.value(), b.value());
  return record(
      y,
      [da = gradient_of(a), db = gradient_of(b), f](matrix<S>& dy) {
        da.add([&](view<S> g, start how) { contribute(g, how, [f](pack<S> d) { return f * d; }, dy); });
        db.add(std::move(dy));
      },
      a, b);
}

/// a ⊙ b.
template <number S>
var<S> multiply(const var<S>& a, const var<S>& b) {
  require_same_shape("multiply", a, b);
  auto y = a.tape().output(a.rows(), a.cols(), a.shared_batch());
  transform(y.write(), [](pack<S> u, pack<S> v) { return u * v; }, a.value(), b.value());
  return record(
      y,
      [a, b](matrix<S>& dy) {
        const auto product = [](pack<S> u, pack<S> v) { return u * v; };
        gradient_of(a).add([&](view<S> g, start how) { contribute(g, how, product, dy, b.value()); });
        gradient_of(b).add([&](view<S> g, start how) { contribute(g, how, product, dy, a.value()); });
      },
      a, b);
}

/// factor · x.
template <number S>
var<S> scale(const var<S>& x, double factor) {
  auto y = x.tape().output(x.rows(), x.cols(), x.shared_batch());
  const pack<S> f(factor);
  transform(y.write(), [f](pack<S> v) { return f * v; }, x.value());
  return record(
      y,
      [dx = gradient_of(x), f](matrix<S>& dy) {
        dx.add([&](view<S> g, start how) { contribute(g, how, [f](pack<S> d) { return f * d; }, dy); });
      },
      x);
}

/// formula(x) elementwise. The formula is written once, templated on its number, and differentiated by duals:
///
/// Example   map(x, [](auto v) { return v * tanh(v); })
template <number S, class Formula>
var<S> map(const var<S>& x, Formula formula) {
  auto y = x.tape().output(x.rows(), x.cols(), x.shared_batch());
  transform(y.write(), [&](pack<S> v) { return formula(v); }, x.value());
  return record(
      y,
      [x, formula](matrix<S>& dy) {
        gradient_of(x).add([&](view<S> g, start how) {
          contribute(
              g, how, [&](pack<S> d, pack<S> v) { return d * formula(dual<pack<S>>(v, pack<S>(1))).slope; }, dy, x.value());
        });
      },
      x);
}

/// a b, a matrix product of two values.
///
/// Shapes    a (m × k), b (k × n).
template <number S>
var<S> product(const var<S>& a, const var<S>& b) {
  require(a.cols() == b.rows(), "product: a is ", shape_text(a), " but b is ", shape_text(b), "; needs a.cols = b.rows");
  auto y = a.tape().output(a.rows(), b.cols(), a.shared_batch());
  product_nn(y.write(), a.value(), b.value());
  return record(
      y,
      [a, b](matrix<S>& dy) {
        gradient_of(a).add([&](view<S> g, start how) { product_nt(g, view<const S>(dy), b.value(), how); });
        gradient_of(b).add([&](view<S> g, start how) { product_tn(g, a.value(), view<const S>(dy), how); });
      },
      a, b);
}

/// The columns of several values side by side.
///
/// Shapes    equal rows.
template <number S>
var<S> concat(std::span<const var<S>> parts) {
  require(!parts.empty(), "concat: got no values; needs at least one");
  Index cols = 0;
  bool tracked = false;
  for (const auto& part : parts) {
    require(part.rows() == parts[0].rows(), "concat: a part is ", shape_text(part), "; needs ", parts[0].rows(), " rows");
    cols += part.cols();
    tracked = tracked || part.tracked();
  }
  auto y = parts[0].tape().output(parts[0].rows(), cols, parts[0].shared_batch());
  pooled_vector<gradient_of_var<S>> gradients;
  Index at = 0;
  for (const auto& part : parts) {
    contribute<S>(y.write().cols(at, part.cols()), start::fresh, part.value());
    gradients.push_back(gradient_of(part));
    at += part.cols();
  }
  if (tracked && y.tape().records())
    y.tape().push(y, [gradients = std::move(gradients)](matrix<S>& dy) {
      Index first = 0;
      for (const auto& g : gradients) {
        const Index width = g.address()->cols;
        g.add([&](view<S> sum, start how) { contribute<S>(sum, how, dy.cols(first, width)); });
        first += width;
      }
    });
  return y;
}
template <number S>
var<S> concat(std::initializer_list<var<S>> parts) {
  return concat(std::span<const var<S>>(parts.begin(), parts.size()));
}

/// Columns first .. first + count - 1.
template <number S>
var<S> columns(const var<S>& x, Index first, Index count) {
  require(first >= 0 && count >= 0 && first + count <= x.cols(), "columns: ", first, " .. ", first + count, " of ",
          shape_text(x), "; needs 0 <= first and first + count <= cols");
  auto y = x.tape().output(x.rows(), count, x.shared_batch());
  contribute<S>(y.write(), start::fresh, x.value().cols(first, count));
  return record(
      y,
      [dx = gradient_of(x), first, count](matrix<S>& dy) {
        dx.add([&](view<S> g, start how) {
          if (how == start::fresh) fill(g, S(0));
          contribute<S>(g.cols(first, count), start::continued, dy);
        });
      },
      x);
}

/// x in parts of the given widths.
template <number S>
std::vector<var<S>> split(const var<S>& x, std::span<const Index> widths) {
  std::vector<var<S>> parts;
  Index at = 0;
  for (const Index width : widths) {
    parts.push_back(columns(x, at, width));
    at += width;
  }
  require(at == x.cols(), "split: the widths sum to ", at, " but x is ", shape_text(x));
  return parts;
}
template <number S>
std::vector<var<S>> split(const var<S>& x, std::initializer_list<Index> widths) {
  return split(x, std::span<const Index>(widths.begin(), widths.size()));
}

/// Rows of a table: y(i) = table(ids(i)).
///
/// Shapes    table (entries × width), y (ids × width).
/// Throws    argument_error for an id outside the table.
template <number S>
var<S> lookup(tape<S>& t, const parameter<S>& table, std::span<const Index> ids, shared_sequences batch) {
  for (const Index id : ids)
    require(id >= 0 && id < table.rows(), "lookup: id ", id, " is outside the table; needs 0 <= id < ", table.rows());
  const auto count = static_cast<Index>(ids.size());
  auto y = t.output(count, table.cols(), std::move(batch));
  for (Index i = 0; i < count; ++i)
    std::copy_n(table.value().row(ids[static_cast<std::size_t>(i)]), table.cols(), y.write().row(i));
  if (!is_tracked(table) || !t.records()) return y;
  t.push(y, [dtable = gradient_of(table), kept = pooled_vector<Index>(ids.begin(), ids.end())](matrix<S>& dy) {
    dtable.add([&](view<S> g, start how) {
      if (how == start::fresh) fill(g, S(0));
      for (Index i = 0; i < dy.rows(); ++i) {  // in the order of the tokens: one order for any number of threads
        const auto row = g.rows(kept[static_cast<std::size_t>(i)], 1);
        contribute<S>(row, start::continued, dy.rows(i, 1));
      }
    });
  });
  return y;
}

/// The sum of all entries, 1 × 1.
template <number S>
var<S> sum(const var<S>& x) {
  auto y = x.tape().output(1, 1, share(sequences{1}));
  wide_of<S> total(0);
  for (Index i = 0; i < x.rows(); ++i) total += sum(x.value().row(i), x.cols());
  y.write()(0, 0) = rounded<S>(total);
  return record(
      y,
      [dx = gradient_of(x)](matrix<S>& dy) {
        const S d = dy(0, 0);
        dx.add([&](view<S> g, start how) {
          if (how == start::fresh)
            fill(g, d);
          else
            transform(g, [d](pack<S> old) { return old + pack<S>(d); }, g);
        });
      },
      x);
}

/// The mean of all entries, 1 × 1.
template <number S>
var<S> mean(const var<S>& x) {
  require(x.rows() > 0 && x.cols() > 0, "mean: x is ", shape_text(x), "; needs at least one entry");
  return scale(sum(x), 1.0 / static_cast<double>(x.rows() * x.cols()));
}

/// Row sums (rows × 1).
template <number S>
var<S> row_sums(const var<S>& x) {
  auto y = x.tape().output(x.rows(), 1, x.shared_batch());
  for (Index i = 0; i < x.rows(); ++i) y.write()(i, 0) = rounded<S>(sum(x.value().row(i), x.cols()));
  return record(
      y,
      [dx = gradient_of(x)](matrix<S>& dy) {
        dx.add([&](view<S> g, start how) {
          for (Index i = 0; i < g.rows(); ++i) {
            const S d = dy(i, 0);
            const view<S> row = g.rows(i, 1);
            if (how == start::fresh)
              fill(row, d);
            else
              transform(row, [d](pack<S> old) { return old + pack<S>(d); }, row);
          }
        });
      },
      x);
}

}  // namespace formwork
