// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/error.hpp>
#include <formwork/core/memory.hpp>
#include <formwork/core/pack.hpp>

#include <algorithm>
#include <initializer_list>
#include <span>

namespace formwork::inline FORMWORK_ABI {

/// A ragged batch: sequence s is rows first(s) .. first(s) + length(s) - 1 of an activation; its row r has the position
/// start(s) + r. Without a state every sequence starts at position 0.
///
/// Throws    argument_error for a negative length, or lengths whose sum is no Index.
class sequences {
 public:
  sequences() : offsets_(1, 0) {}
  explicit sequences(std::span<const Index> lengths) : offsets_(lengths.size() + 1, 0) {
    for (std::size_t s = 0; s < lengths.size(); ++s) {
      require(lengths[s] >= 0, "sequences: length ", lengths[s], " of sequence ", s, "; needs >= 0");
      require(!__builtin_add_overflow(offsets_[s], lengths[s], &offsets_[s + 1]), "sequences: length ", lengths[s],
              " of sequence ", s, "; needs a sum that is an Index");
    }
  }
  sequences(std::initializer_list<Index> lengths)
      : sequences(std::span<const Index>(lengths.begin(), lengths.size())) {}

  /// `count` sequences of `length` rows.
  static sequences equal(Index count, Index length) {
    require(count >= 0 && length >= 0, "sequences: ", count, " of length ", length, "; needs both >= 0");
    sequences r;
    for (Index s = 1; s <= count; ++s) r.offsets_.push_back(s * length);
    return r;
  }

  Index count() const { return static_cast<Index>(offsets_.size()) - 1; }
  Index rows() const { return offsets_.back(); }
  Index first(Index s) const { return offsets_[static_cast<std::size_t>(s)]; }
  Index length(Index s) const { return first(s + 1) - first(s); }
  /// The sequence that holds a row.
  Index sequence_of(Index row) const {
    return static_cast<Index>(std::upper_bound(offsets_.begin(), offsets_.end(), row) - offsets_.begin()) - 1;
  }
  Index longest() const {
    Index most = 0;
    for (Index s = 0; s < count(); ++s) most = std::max(most, length(s));
    return most;
  }

  /// Position of the first row; set by a model called with a state.
  Index start(Index s) const { return starts_.empty() ? 0 : starts_[static_cast<std::size_t>(s)]; }
  /// Of a row of any sequence.
  Index position_of(Index row) const {
    const Index s = sequence_of(row);
    return start(s) + row - first(s);
  }
  /// One past the largest position of a row.
  Index positions() const {
    Index most = 0;
    for (Index s = 0; s < count(); ++s)
      if (length(s) > 0) most = std::max(most, start(s) + length(s));
    return most;
  }
  /// How long the sequences are declared to be, for positions whose table depends on it; 0: not declared.
  Index declared() const { return declared_; }
  /// What dropout is keyed by, so that a sequence draws the same numbers in any batch; s by default.
  Index id(Index s) const { return ids_.empty() ? s : ids_[static_cast<std::size_t>(s)]; }

  sequences& starts(std::span<const Index> at) {
    require(static_cast<Index>(at.size()) == count(), "sequences: ", at.size(), " starts for ", count(), " sequences");
    starts_.assign(at.begin(), at.end());
    return *this;
  }
  sequences& declare(Index length) {
    require(length >= 0, "sequences: the declared length is ", length, "; needs >= 0, where 0 is none");
    declared_ = length;
    return *this;
  }
  sequences& ids(std::span<const Index> names) {
    require(static_cast<Index>(names.size()) == count(), "sequences: ", names.size(), " ids for ", count(), " sequences");
    ids_.assign(names.begin(), names.end());
    return *this;
  }

  friend bool operator==(const sequences& a, const sequences& b) { return a.offsets_ == b.offsets_; }

 private:
  pooled_vector<Index> offsets_, starts_, ids_;
  Index declared_ = 0;
};

}  // namespace formwork
