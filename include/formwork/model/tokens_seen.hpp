// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/module.hpp>
#include <formwork/core/error.hpp>
#include <formwork/core/sequences.hpp>

namespace formwork::inline FORMWORK_ABI {

/// How many tokens of each sequence a model's state has seen, and the length it was declared for: where the next tokens stand.
///
/// Throws    argument_error from place() where the next tokens do not fit: before anything has changed.
class tokens_seen {
 public:
  tokens_seen() = default;
  explicit tokens_seen(state_sizes room) : lengths_(static_cast<std::size_t>(room.sequences), 0), capacity_(room.capacity) {
    declare(room.length);
  }

  Index count() const { return static_cast<Index>(lengths_.size()); }
  Index length(Index sequence) const { return lengths_[static_cast<std::size_t>(sequence)]; }
  Index declared() const { return declared_; }
  void declare(Index length) {
    require(length >= 0, "a state's declared length is ", length, "; needs >= 0, where 0 is none");
    declared_ = length;
  }

  /// The same rows at the positions where they go on.
  sequences place(const char* op, sequences next) const {
    require(next.count() == count(), op, ": ", next.count(), " sequences but the state has ", count(), "; needs as many");
    for (Index s = 0; s < count(); ++s)
      require(length(s) + next.length(s) <= capacity_, op, ": sequence ", s, " holds ", length(s), " tokens and ",
              next.length(s), " more come, but the state has room for ", capacity_, "; needs a larger capacity in make_state");
    require(next.declared() == 0 || next.declared() == declared_, op, ": the batch declares length ", next.declared(),
            " but the state ", declared_, "; needs turn_again(state, length)");
    return next.starts(lengths_).declare(declared_);
  }
  void add(const sequences& next) {
    for (Index s = 0; s < count(); ++s) lengths_[static_cast<std::size_t>(s)] += next.length(s);
  }
  /// Goes back to the first `length` tokens of a sequence.
  void truncate(Index sequence, Index length) {
    require(0 <= sequence && sequence < count() && 0 <= length && length <= this->length(sequence),
            "tokens_seen: cannot cut sequence ", sequence, " to ", length, " tokens");
    lengths_[static_cast<std::size_t>(sequence)] = length;
  }

 private:
  pooled_vector<Index> lengths_;
  Index capacity_ = 0, declared_ = 0;
};

}  // namespace formwork
