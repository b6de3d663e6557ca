// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/mask/ranges_by_row.hpp>

namespace formwork::inline FORMWORK_ABI {

/// Packed documents: a query sees the keys of its own document, the run of equal ids around it.
///
/// Shapes    one id for each row of the batch; equal ids apart from each other are different documents.
/// Throws    argument_error for another number of ids; a call with another batch than the one it was made for.
/// Source    Krell et al., 2107.02027, section 3.2 (packing without crosstalk).
/// Differs   positions run on through a sequence. A ragged batch packs documents as sequences, whose positions begin at 0, and
///           needs no mask; use both<causal, documents> where the document may not be cut out.
class documents {
 public:
  using plugs_into = slot::mask;
  static constexpr bool sees_ahead = true;
  static constexpr bool one_range = true;

  documents() = default;
  documents(const sequences& batch, std::span<const Index> ids) {
    require_one_a_row("documents", ids, batch);
    pooled_vector<index_range> rows(ids.size());
    for (Index s = 0; s < batch.count(); ++s) {
      const auto of = ids.subspan(static_cast<std::size_t>(batch.first(s)), static_cast<std::size_t>(batch.length(s)));
      for (auto begin = of.begin(); begin != of.end();) {
        const auto end = std::find_if(begin, of.end(), [&](Index id) { return id != *begin; });
        const index_range run{begin - of.begin(), end - of.begin()};
        std::fill_n(rows.begin() + batch.first(s) + run.first, run.size(), run);
        begin = end;
      }
    }
    ranges_ = {batch, std::move(rows)};
  }

  key_spans spans(query_site query) const { return {ranges_.at(query)}; }
  Index count(query_site query) const { return ranges_.at(query).size(); }
  bool visible(query_site query, Index key) const { return ranges_.at(query).holds(key); }
  void fits(const sequences& queries) const { ranges_.fits("documents", queries); }

 private:
  ranges_by_row ranges_;
};
static_assert(mask_policy<documents>);

}  // namespace formwork
