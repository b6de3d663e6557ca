// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/mask.hpp>
#include <formwork/core/error.hpp>
#include <formwork/core/memory.hpp>
#include <formwork/core/sequences.hpp>

#include <memory>
#include <span>

namespace formwork::inline FORMWORK_ABI {

/// What masks that are data rather than a rule are made of: a range of keys for every row of one batch, shared by copies.
class ranges_by_row {
 public:
  ranges_by_row() = default;
  ranges_by_row(const sequences& batch, pooled_vector<index_range> rows)
      : batch_(std::make_shared<const sequences>(batch)),
        rows_(std::make_shared<const pooled_vector<index_range>>(std::move(rows))) {}

  /// Clipped to the keys there are; empty for a row it does not have.
  index_range at(query_site query) const {
    if (!batch_ || !index_range{0, batch_->count()}.holds(query.sequence) ||
        !index_range{0, batch_->length(query.sequence)}.holds(query.position))
      return {};
    return (*rows_)[static_cast<std::size_t>(batch_->first(query.sequence) + query.position)].clipped({0, query.keys});
  }

  /// Throws where the queries are not rows of the batch that the ranges were made for.
  void fits(const char* name, const sequences& queries) const {
    require(batch_ != nullptr, name, ": was given no batch; make it from one");
    bool inside = queries.count() == batch_->count();
    for (Index s = 0; inside && s < queries.count(); ++s)
      inside = queries.start(s) + queries.length(s) <= batch_->length(s);
    require(inside, name, ": was made for another batch; needs the ", batch_->count(), " sequences it was made for");
  }

 private:
  std::shared_ptr<const sequences> batch_;
  std::shared_ptr<const pooled_vector<index_range>> rows_;
};

/// Throws unless there is a number for every row of the batch.
inline void require_one_a_row(const char* name, std::span<const Index> numbers, const sequences& batch) {
  require(static_cast<Index>(numbers.size()) == batch.rows(), name, ": ", numbers.size(), " numbers for ", batch.rows(),
          " rows; needs one for each");
}

}  // namespace formwork
