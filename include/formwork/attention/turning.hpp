// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/position.hpp>
#include <formwork/core/matrix.hpp>
#include <formwork/core/sequences.hpp>

#include <algorithm>
#include <memory>
#include <mutex>
#include <utility>

namespace formwork::inline FORMWORK_ABI {

/// Turns queries and keys by a table and the policy that made it: what a call, a recording or a state holds on to, whatever
/// the layer is given later. Does nothing for a position policy that does not rotate.
template <class Position, number S>
struct turns {
  void operator()(view<S>, Index, const sequences&, direction, side, int = 0) const {}
};
template <class Position, number S>
  requires rotates<Position, S>
struct turns<Position, S> {
  using table_type = typename Position::template table_type<S>;
  Position position = {};
  std::shared_ptr<const table_type> table = {};

  /// x (tokens × heads · key_width).
  void operator()(view<S> x, Index heads, const sequences& rows, direction way, side of, int part = 0) const {
    rotate_side<S>(position, x, heads, *table, rows, way, of, part);
  }
};

/// The tables that a layer has made, one for each value of its position policy and declared length, each as long as any
/// call has needed; copies of a layer share them.
///
/// Cost      a search among at most four; any number of threads may ask at once.
template <class Position, number S>
class turning_tables {
 public:
  /// For heads of that width at positions 0 .. positions - 1; declared length 0: none, the policy's own holds.
  turns<Position, S> of(const Position& position, Index key_width, Index positions, Index length) const {
    require(length >= 0, "the declared length is ", length, "; needs >= 0, where 0 is none");
    if constexpr (rotates<Position, S>)
      return shelf_->find_or_make(at_length(position, length), key_width, positions);
    else
      return {};
  }

 private:
  static Position at_length(const Position& position, Index length) {
    if constexpr (depends_on_length<Position>) return length > 0 ? position.declared(length) : position;
    return position;
  }

  struct shelf {
    static constexpr std::size_t most = 4;
    std::mutex one_at_a_time;
    pooled_vector<turns<Position, S>> made;  // the latest last

    turns<Position, S> find_or_make(const Position& position, Index key_width, Index positions) {
      using table_type = typename turns<Position, S>::table_type;
      const std::scoped_lock lock(one_at_a_time);
      const auto at = std::find_if(made.begin(), made.end(), [&](const auto& t) { return t.position == position; });
      if (at != made.end() && at->table->capacity() >= positions) return *at;
      turns<Position, S> longer{position, std::allocate_shared<const table_type>(
                                              pool_allocator<table_type>{}, position.template table<S>(key_width, positions))};
      if (at != made.end())
        made.erase(at);
      else if (made.size() == most)
        made.erase(made.begin());
      made.push_back(longer);
      return longer;
    }
  };
  std::shared_ptr<shelf> shelf_ = std::make_shared<shelf>();
};

/// The keys of a state as they were before they were turned: what turning them again starts from.
///
/// Cost      one copied row a token and layer; as much memory again as the turned keys.
template <number S>
class unturned_keys {
 public:
  unturned_keys() = default;
  unturned_keys(Index count, Index capacity, Index cols) : capacity_(capacity), keys_(count * capacity, cols) {}

  Index capacity() const { return capacity_; }

  /// The next keys of each sequence, at rows.start(s), ...
  void append(view<const S> k, const sequences& rows) {
    for (Index s = 0; s < rows.count(); ++s)
      for (Index i = 0; i < rows.length(s); ++i)
        std::copy_n(k.row(rows.first(s) + i), k.cols(), keys_.row(s * capacity_ + rows.start(s) + i));
  }
  /// The first keys of each sequence.
  matrix<S> first(const sequences& rows) const {
    matrix<S> k(rows.rows(), keys_.cols());
    for (Index s = 0; s < rows.count(); ++s)
      std::copy_n(keys_.row(s * capacity_), rows.length(s) * k.cols(), k.row(rows.first(s)));
    return k;
  }

 private:
  Index capacity_ = 0;
  matrix<S> keys_;
};

}  // namespace formwork
