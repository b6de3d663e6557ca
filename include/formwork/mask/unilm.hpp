// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/mask/ranges_by_row.hpp>

namespace formwork::inline FORMWORK_ABI {

/// Sequence to sequence in one model: tokens of the source (segment 0) see the whole source, each of the target (segment 1)
/// what stands up to itself. With c the running sum of the segments, query i sees key j where c_j <= c_i.
///
/// Shapes    one segment, 0 or 1, for each row of the batch.
/// Throws    argument_error for another number of segments, or another segment; a call with another batch.
/// Source    Dong et al., 1905.03197; kexue.fm/archives/6933, 9529.
/// Differs   any pattern of segments is allowed, as the running sum gives it: tokens of segment 0 behind a target see its last
///           token and each other. The incremental form is prefix's.
class unilm {
 public:
  using plugs_into = slot::mask;
  static constexpr bool sees_ahead = true;
  static constexpr bool one_range = true;

  unilm() = default;
  unilm(const sequences& batch, std::span<const Index> segments) {
    require_one_a_row("unilm", segments, batch);
    for (const Index segment : segments)
      require(segment == 0 || segment == 1, "unilm: segment ", segment, "; needs 0 (source) or 1 (target)");
    pooled_vector<index_range> rows(segments.size());
    for (Index s = 0; s < batch.count(); ++s) {
      // The sum stays what it is up to the next token of segment 1.
      Index last = batch.length(s);
      for (Index i = batch.length(s) - 1; i >= 0; --i) {
        const auto row = static_cast<std::size_t>(batch.first(s) + i);
        rows[row] = {0, last};
        if (segments[row] == 1) last = i;
      }
    }
    ranges_ = {batch, std::move(rows)};
  }

  key_spans spans(query_site query) const { return {ranges_.at(query)}; }
  Index count(query_site query) const { return ranges_.at(query).size(); }
  bool visible(query_site query, Index key) const { return ranges_.at(query).holds(key); }
  void fits(const sequences& queries) const { ranges_.fits("unilm", queries); }

 private:
  ranges_by_row ranges_;
};
static_assert(mask_policy<unilm>);

}  // namespace formwork
