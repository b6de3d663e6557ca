// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/position.hpp>
#include <formwork/kernel/transform.hpp>
#include <formwork/tape/fields.hpp>
#include <formwork/tape/tape.hpp>

#include <utility>

namespace formwork::inline FORMWORK_ABI {

/// Absolute positions as a learned table: the token at position k gets row k. Given to the model; how many positions there
/// are is a value:
///
///   language_model<float, layer, learned<float>>::make(sizes, random, learned<float>{.longest = 512})
///
/// Shapes    x, y (tokens × width), table (longest × width), which starts as N(0, 0.02²).
/// Throws    argument_error for a position past the table: it never wraps.
/// Source    Gehring et al., 1705.03122; Radford et al., GPT-2.
template <number S>
struct learned {
  using plugs_into = slot::position;
  using scalar = S;

  Index longest = 1024;  ///< positions there are vectors for
  parameter<S> table = {};

  /// With the table that a value such as learned<float>{.longest = 512} asks for; b is the model's builder.
  template <class Builder>
  static learned make(const Builder& b, const learned& wanted) {
    require(wanted.longest > 0, "learned: longest is ", wanted.longest, "; needs > 0");
    return {wanted.longest, b.template normal<S>(wanted.longest, b.sizes.width, 0.02, role::table)};
  }

  var<S> embed(const var<S>& x) const {
    const sequences& rows = x.batch();
    require(x.cols() == table.cols(), "learned: x is ", shape_text(x), " but the table is ", shape_text(table),
            "; needs equal widths");
    for (Index s = 0; s < rows.count(); ++s)
      require(rows.start(s) + rows.length(s) <= table.rows(), "learned: sequence ", s, " reaches position ",
              rows.start(s) + rows.length(s) - 1, " but the table ends at ", table.rows() - 1, "; needs a larger .longest");
    auto y = x.tape().output(x.rows(), x.cols(), x.shared_batch());
    parallel_ranges(x.rows(), rows_per_task(x.cols()), [&](Index first, Index last) {
      for (Index i = first; i < last; ++i)
        contribute(y.write().rows(i, 1), start::fresh, [](pack<S> u, pack<S> v) { return u + v; }, x.value().rows(i, 1),
                   table.value().rows(rows.position_of(i), 1));
    });
    return record(
        y,
        [dx = gradient_of(x), dtable = gradient_of(table), rows = x.shared_batch()](matrix<S>& dy) {
          dtable.add([&](view<S> g, start how) { add_rows(g, dy, *rows, how); });
          dx.add(std::move(dy));
        },
        x, table);
  }

  template <class M>
  static auto fields(M& m) {
    return formwork::fields("table", m.table);
  }

 private:
  /// Row k of the table's gradient is the sum of the rows at position k, the sequences in order.
  static void add_rows(view<S> g, view<const S> dy, const sequences& rows, start how) {
    parallel_ranges(g.rows(), rows_per_task(g.cols()), [&](Index first, Index last) {
      for (Index k = first; k < last; ++k) {
        if (how == start::fresh) fill(g.rows(k, 1), S(0));
        for (Index s = 0; s < rows.count(); ++s)
          if (const Index r = k - rows.start(s); 0 <= r && r < rows.length(s))
            contribute<S>(g.rows(k, 1), start::continued, dy.rows(rows.first(s) + r, 1));
      }
    });
  }
};
static_assert(position_policy<learned<float>> && position_policy<learned<double>>);

}  // namespace formwork
