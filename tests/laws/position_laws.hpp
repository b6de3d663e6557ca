// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/position.hpp>
#include <formwork/tape.hpp>

#include "kernel/checks.hpp"

/// What every position policy promises (contract/position.hpp), hook by hook.
namespace laws {

namespace fw = formwork;
using fw::Index;

template <class S, class Position>
fw::matrix<S> turned(const Position& position, fw::matrix<S> x, Index heads, const fw::sequences& rows, Index positions,
                     fw::direction way = fw::direction::forward, fw::side of = fw::side::queries, int part = 0) {
  const auto table = position.template table<S>(x.cols() / heads, positions);
  fw::rotate_side<S>(position, x.all(), heads, table, rows, way, of, part);
  return x;
}

/// A row alone, at its position, has the bits it has in a batch; bits do not depend on threads or the table's reach.
template <class S, class Position>
void rotation_depends_on_the_row_alone(const Position& position, Index key_width, fw::side of, int part = 0) {
  const Index heads = 3;
  const auto x = checks::numbers(1).matrix<S>(30, heads * key_width);
  const fw::sequences batch{11, 1, 18};
  const auto turn = [&](fw::matrix<S> m, const fw::sequences& rows, Index positions) {
    return turned(position, std::move(m), heads, rows, positions, fw::direction::forward, of, part);
  };
  const auto all = turn(x, batch, 18);
  for (Index i = 0; i < 30; ++i) {
    const Index s = batch.sequence_of(i);
    fw::sequences alone{1};
    alone.starts(std::vector<Index>{i - batch.first(s)});
    REQUIRE(checks::same_bits(turn(fw::matrix<S>(x.rows(i, 1)), alone, 500), fw::matrix<S>(all.rows(i, 1))));
  }
  checks::check_threads("rotate", [&] { return turn(x, batch, 18); });
  auto table = position.template table<S>(key_width, 2);
  table.reserve(18);
  auto y = x;
  fw::rotate_side<S>(position, y.all(), heads, table, batch, fw::direction::forward, of, part);
  REQUIRE(checks::same_bits(y, all));
}

/// backward is the gradient of forward, and undoes it where both sides turn alike.
template <class Position>
void rotation_turns_back(const Position& position, Index key_width, fw::side of, int part = 0) {
  const fw::sequences batch{5, 7};
  auto x = checks::numbers(2).matrix<double>(12, 2 * key_width);
  const auto dy = checks::numbers(3).matrix<double>(12, 2 * key_width);
  const auto turn = [&](const fw::matrix<double>& m, fw::direction way) { return turned(position, m, 2, batch, 7, way, of, part); };
  if (!fw::rotates_by_side<Position, double>) {
    const auto back = turn(turn(x, fw::direction::forward), fw::direction::backward);
    REQUIRE(checks::largest_error(back, x) <= 1e-14 * checks::largest_of(x));
  }
  checks::check_gradient("rotate", x, turn(dy, fw::direction::backward), [&] {
    const auto y = turn(x, fw::direction::forward);
    double sum = 0;
    for (Index i = 0; i < y.size(); ++i) sum += y.data()[i] * dy.data()[i];
    return sum;
  });
}

/// q · k depends on the distance of their positions only.
template <class Position>
void rotation_keeps_distances(const Position& position, Index key_width) {
  const auto q = checks::numbers(4).matrix<double>(1, key_width), k = checks::numbers(5).matrix<double>(1, key_width);
  const auto table = position.template table<double>(key_width, 3000);
  const auto at = [&](fw::matrix<double> x, Index p, fw::side of) {
    fw::sequences one{1};
    one.starts(std::vector<Index>{p});
    fw::rotate_side<double>(position, x.all(), 1, table, one, fw::direction::forward, of);
    return x;
  };
  for (const Index distance : {0, 1, 30, 999}) {
    std::vector<double> score;
    for (const Index p : {0, 1, 2000}) {
      const auto a = at(q, p + distance, fw::side::queries), b = at(k, p, fw::side::keys);
      score.push_back(0);
      for (Index j = 0; j < key_width; ++j) score.back() += a(0, j) * b(0, j);
    }
    CAPTURE(distance);
    REQUIRE(std::abs(score[1] - score[0]) <= 1e-11);
    REQUIRE(std::abs(score[2] - score[0]) <= 1e-11);
  }
}

/// A row alone, at its position, has the bits it has in a batch, and the input keeps its gradient.
template <class S, class Position>
void embedding_depends_on_the_row_alone(const Position& position, Index width) {
  const auto x = checks::numbers(6).matrix<S>(30, width);
  fw::sequences batch{11, 0, 1, 18};
  batch.starts(std::vector<Index>{0, 3, 500, 77});
  const auto run = [&](fw::matrix<S> rows, const fw::sequences& where) {
    fw::tape<S> quiet{fw::recording::off};
    return fw::matrix<S>(position.embed(quiet.constant(std::move(rows), where)).value());
  };
  const auto all = run(x, batch);
  REQUIRE_FALSE(checks::same_bits(all, x));
  for (Index i = 0; i < 30; ++i) {
    fw::sequences alone{1};
    alone.starts(std::vector<Index>{batch.position_of(i)});
    REQUIRE(checks::same_bits(run(fw::matrix<S>(x.rows(i, 1)), alone), fw::matrix<S>(all.rows(i, 1))));
  }
  checks::check_threads("embed", [&] { return run(x, batch); });
}

/// Every gradient, of the input and of what the policy learns.
template <class Position>
void embedding_gradients_are_right(Position position, Index width) {
  const fw::sequences batch{5, 1, 3};
  const auto weight = checks::numbers(8).matrix<double>(9, width);
  struct with_input {
    fw::parameter<double> x;
    Position& position;
    static auto fields(with_input& m) {
      return std::tuple_cat(fw::fields("x", m.x), fw::policy_field("position", m.position));
    }
  } all{{checks::numbers(7).matrix<double>(9, width), fw::role::matrix}, position};
  const auto report = fw::gradcheck(
      all,
      [&](fw::tape<double>& t) {
        const auto flat = fw::use(t, all.x);
        auto x = t.leaf(fw::matrix<double>(flat.value()), fw::share(batch), false);
        x = fw::record(x, [d = fw::gradient_of(flat)](fw::matrix<double>& dx) { d.add(std::move(dx)); }, flat);
        return fw::sum(fw::multiply(all.position.embed(x), t.constant(fw::matrix<double>(weight), batch)));
      },
      {.every_up_to = 60, .sample = 16});
  INFO(report);
  CHECK(report);
}

/// For a policy that learns in S; and for one that is a plain value.
template <class S, class Position>
void embedding_laws_in(const Position& position, Index width) {
  static_assert(fw::position_policy<Position> && fw::embeds<Position, S>);
  embedding_depends_on_the_row_alone<S>(position, width);
  if constexpr (std::same_as<S, double>) embedding_gradients_are_right(position, width);
}
template <class Position>
void embedding_laws(const Position& position, Index width) {
  embedding_laws_in<float>(position, width);
  embedding_laws_in<double>(position, width);
}

template <class Position>
void position_laws(const Position& position, Index key_width) {
  static_assert(fw::position_policy<Position>);
  if constexpr (fw::rotary_position<Position>) {
    for (int part = 0; part < (fw::rotates_in_parts<Position, double> ? 3 : 1); ++part)
      for (const fw::side of : {fw::side::queries, fw::side::keys}) {
        rotation_depends_on_the_row_alone<float>(position, key_width, of, part);
        rotation_depends_on_the_row_alone<double>(position, key_width, of, part);
        rotation_turns_back(position, key_width, of, part);
      }
    rotation_keeps_distances(position, key_width);
  }
}

/// A table by distance: a number depends on its head and distance, not on the range asked for.
template <class S, class Position>
void distances_do_not_depend_on_the_range(const Position& position, Index heads) {
  fw::tape<S> quiet{fw::recording::off};
  constexpr Index far = 3000;
  const auto all = position.distance_biases(quiet, heads, {-far, far + 1});
  using range = fw::index_range;
  for (const range part : {range{-far, 1}, range{-17, 3}, range{0, 5}, range{-1001, 1999}}) {
    const auto some = position.distance_biases(quiet, heads, part);
    for (Index h = 0; h < heads; ++h)
      for (Index c = 0; c < part.size(); ++c) {
        CAPTURE(h, part.first + c);
        REQUIRE(std::isfinite(some.value()(h, c)));
        REQUIRE(some.value()(h, c) == all.value()(h, part.first + c + far));
      }
  }
}

}  // namespace laws
