// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/attention/turning.hpp>
#include <formwork/contract/heads.hpp>
#include <formwork/contract/mask.hpp>
#include <formwork/kernel/relative_rows.hpp>

#include <algorithm>
#include <utility>

namespace formwork::inline FORMWORK_ABI {

/// Queries and keys as the kernel takes them: turned in place, or, by a position that turns in parts, copied to matrices with
/// all parts of a head side by side, each filled to whole packs.
template <position_policy Position, mask_policy Mask, number S>
struct turned_heads {
  static constexpr bool in_parts = rotates_in_parts<Position, S>;
  static constexpr int parts = !in_parts ? 1 : Mask::sees_ahead ? 3 : 2;

  matrix<S> queries = {}, keys = {};  ///< empty where they are turned in place

  /// The heads as the kernel sees them, and which of their columns count.
  static head_shape shape(head_shape h) {
    if constexpr (in_parts) h.key_width = parts * padded<S>(h.key_width);
    return h;
  }
  static auto columns([[maybe_unused]] const Position& position, [[maybe_unused]] const head_shape& h) {
    if constexpr (in_parts)
      return position.template columns<parts>(h.key_width);
    else if constexpr (relates_vectors<Position, S>)
      return relative_rows<S>{.longest = position.longest};
    else
      return all_columns{};
  }

  /// Keys alone: those of a state.
  static matrix<S> turned_keys(const turns<Position, S>& turn, view<S> k, const head_shape& h, const sequences& batch) {
    return turned(turn, k, h.key_heads, batch, side::keys);
  }
  static turned_heads of(const turns<Position, S>& turn, view<S> q, view<S> k, const head_shape& h, const sequences& batch) {
    return {turned(turn, q, h.query_heads, batch, side::queries), turned_keys(turn, k, h, batch)};
  }
  /// For the gradients of so many rows.
  static turned_heads room(Index rows, const head_shape& h) {
    if constexpr (in_parts) return {matrix<S>(rows, h.query_heads * width(h)), matrix<S>(rows, h.key_heads * width(h))};
    return {};
  }

  /// The gradients of what was turned become those of q and k.
  void turn_back(const turns<Position, S>& turn, view<S> dq, view<S> dk, const head_shape& h, const sequences& batch) const {
    turn_back(turn, queries, dq, h.query_heads, batch, side::queries);
    turn_back(turn, keys, dk, h.key_heads, batch, side::keys);
  }

  /// Where they are, given where they would be in place.
  template <class T>
  static view<T> at(view<T> in_place, auto& in_parts_of_heads) {
    return in_parts ? view<T>(in_parts_of_heads) : in_place;
  }

 private:
  static Index width(const head_shape& h) { return shape(h).key_width; }

  /// f(a row's head in x, the same head's part) for every row and head.
  static void each_head(auto&& x, auto&& all, Index heads, int part, auto f) {
    const Index from = x.cols() / heads, to = padded<S>(from);
    for (Index i = 0; i < x.rows(); ++i)
      for (Index h = 0; h < heads; ++h) f(x.row(i) + h * from, all.row(i) + (h * parts + part) * to, from);
  }

  /// x (tokens × heads · key_width) is turned in place, or its parts are given back.
  static matrix<S> turned(const turns<Position, S>& turn, view<S> x, Index heads, const sequences& batch, side of) {
    if constexpr (in_parts) {
      matrix<S> all(x.rows(), heads * parts * padded<S>(x.cols() / heads), S(0));
      for (int part = 0; part < parts; ++part) {
        matrix<S> one(x);
        turn(one, heads, batch, direction::forward, of, part);
        each_head(one, all, heads, part, [](const S* from, S* to, Index count) { std::copy_n(from, count, to); });
      }
      return all;
    } else {
      turn(x, heads, batch, direction::forward, of);
      return {};
    }
  }

  static void turn_back(const turns<Position, S>& turn, [[maybe_unused]] const matrix<S>& all, view<S> dx, Index heads,
                        const sequences& batch, side of) {
    if constexpr (in_parts) {
      matrix<S> one(dx.rows(), dx.cols());
      for (int part = 0; part < parts; ++part) {
        each_head(one, all, heads, part, [](S* to, const S* from, Index count) { std::copy_n(from, count, to); });
        turn(one, heads, batch, direction::backward, of, part);
        for (Index i = 0; i < dx.rows(); ++i)
          for (Index j = 0; j < dx.cols(); ++j) dx(i, j) = part == 0 ? one(i, j) : dx(i, j) + one(i, j);
      }
    } else {
      turn(dx, heads, batch, direction::backward, of);
    }
  }
};

}  // namespace formwork
