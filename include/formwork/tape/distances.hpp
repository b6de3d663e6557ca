// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/mask.hpp>
#include <formwork/core/dual.hpp>
#include <formwork/core/parallel.hpp>
#include <formwork/core/reduce.hpp>
#include <formwork/tape/tape.hpp>

#include <array>
#include <utility>

namespace formwork::inline FORMWORK_ABI {

/// formula(distance, learned) of every distance key - query of a range, for each head: learned[i] is that head's number of
/// parameter i. What a position policy's distance_biases() returns where its biases follow a formula; it is written once,
/// `template <class T> T operator()(T distance, const T* learned) const`, and gets its slopes by duals.
///
/// Shapes    y (heads × distances.size()), each parameter (1 × heads).
/// Numerics  gradients are summed in double, a head's distances in order.
/// Cost      one formula a head and distance; three in the backward.
template <number S, class Formula, class... Parameter>
var<S> map_distances(tape<S>& t, Index heads, index_range distances, Formula formula, const Parameter&... parameter) {
  static constexpr int count = sizeof...(Parameter);
  using P = pack<S>;
  (require(parameter.rows() == 1 && parameter.cols() == heads, "map_distances: a parameter is ", shape_text(parameter),
           "; needs (1 × ", heads, ") for as many heads"),
   ...);
  auto y = t.output(heads, distances.size(), share(sequences{heads}));
  // Numbers of a head as T, and f(column, distances) for its packs.
  const auto numbers = []<class T>(const std::array<const S*, count>& from, Index h, T*) {
    return [&]<int... i>(std::integer_sequence<int, i...>) {
      return std::array<T, count>{variable<T>(from[i][h], i)...};
    }(std::make_integer_sequence<int, count>());
  };
  const auto each = [distances](auto f) {
    for (Index c = 0; c < distances.size(); c += P::size) f(c, P::ramp(static_cast<S>(distances.first + c)));
  };
  parallel_for(heads, [&](Index h) {
    const auto learned = numbers({parameter.value().data()...}, h, static_cast<P*>(nullptr));
    S* row = y.write().row(h);
    each([&](Index c, P d) { formula(d, learned.data()).store(row + c, distances.size() - c); });
  });
  return record(
      y,
      [=, values = std::array<typename formwork::parameter<S>::cell*, count>{parameter.address()...}](matrix<S>& dy) {
        matrix<S> sums(count, dy.rows());
        parallel_for(dy.rows(), [&](Index h) {
          using D = dual<P, count>;
          const auto learned = [&]<int... i>(std::integer_sequence<int, i...>) {
            return numbers({values[i]->value.data()...}, h, static_cast<D*>(nullptr));
          }(std::make_integer_sequence<int, count>());
          wide_of<S> total[count] = {};
          each([&](Index c, P d) {
            const D bent = formula(D(d), learned.data());
            const P g = P::load(dy.row(h) + c, dy.cols() - c);
            for (int i = 0; i < count; ++i) total[i] += widened(sum(g * bent.at(i)));
          });
          for (int i = 0; i < count; ++i) sums(i, h) = rounded<S>(total[i]);
        });
        for (int i = 0; i < count; ++i)
          gradient_of_parameter<S>(values[static_cast<std::size_t>(i)]).add([&](view<S> g, start how) {
            contribute<S>(g, how, sums.rows(i, 1));
          });
      },
      parameter...);
}

/// Rows of a table by distance: y(h, c) = table(row_of(distances.first + c), h).
///
/// Shapes    y (heads × distances.size()), table (entries × heads).
/// Numerics  the gradient of an entry is summed in double, its distances in order.
/// Throws    argument_error for a table of other heads.
template <number S, class RowOf>
var<S> lookup_distances(tape<S>& t, Index heads, index_range distances, const parameter<S>& table, RowOf row_of) {
  require(table.cols() == heads, "lookup_distances: the table is ", shape_text(table), "; needs a column for each of ", heads,
          " heads");
  auto y = t.output(heads, distances.size(), share(sequences{heads}));
  for (Index c = 0; c < distances.size(); ++c) {
    const S* entry = table.value().row(row_of(distances.first + c));
    for (Index h = 0; h < heads; ++h) y.write()(h, c) = entry[h];
  }
  return record(
      y,
      [d = gradient_of(table), distances, row_of, entries = table.rows()](matrix<S>& dy) {
        matrix<wide_of<S>> sums(entries, dy.rows(), 0.0);
        for (Index c = 0; c < distances.size(); ++c) {
          wide_of<S>* entry = sums.row(row_of(distances.first + c));
          for (Index h = 0; h < dy.rows(); ++h) entry[h] += widened(dy(h, c));
        }
        d.add([&](view<S> g, start how) {
          for (Index e = 0; e < entries; ++e)
            for (Index h = 0; h < g.cols(); ++h) g(e, h) = rounded<S>(sums(e, h)) + (how == start::fresh ? S(0) : g(e, h));
        });
      },
      table);
}

/// Rows of a table by distance: y(c, :) = table(row_of(distances.first + c), :).
///
/// Shapes    y (distances.size() × table.cols()).
/// Numerics  the gradient of an entry is summed in double, its distances in order.
template <number S, class RowOf>
var<S> vectors_of_distances(tape<S>& t, index_range distances, const parameter<S>& table, RowOf row_of) {
  auto y = t.output(distances.size(), table.cols(), share(sequences{distances.size()}));
  for (Index c = 0; c < distances.size(); ++c)
    std::copy_n(table.value().row(row_of(distances.first + c)), table.cols(), y.write().row(c));
  return record(
      y,
      [d = gradient_of(table), distances, row_of, entries = table.rows()](matrix<S>& dy) {
        matrix<wide_of<S>> sums(entries, dy.cols(), 0.0);
        for (Index c = 0; c < distances.size(); ++c)
          for (Index j = 0; j < dy.cols(); ++j) sums(row_of(distances.first + c), j) += widened(dy(c, j));
        d.add([&](view<S> g, start how) {
          for (Index e = 0; e < entries; ++e)
            for (Index j = 0; j < g.cols(); ++j) g(e, j) = rounded<S>(sums(e, j)) + (how == start::fresh ? S(0) : g(e, j));
        });
      },
      table);
}

}  // namespace formwork
