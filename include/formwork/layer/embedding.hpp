// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/layer/builder.hpp>
#include <formwork/tape/fields.hpp>
#include <formwork/tape/ops.hpp>

#include <initializer_list>
#include <span>
#include <vector>

namespace formwork::inline FORMWORK_ABI {

/// Token ids of a ragged batch. An id below zero is allowed in targets only: it is ignored.
struct tokens {
  std::vector<Index> ids;
  sequences batch;

  tokens() = default;
  /// One sequence.
  tokens(std::initializer_list<Index> one) : ids(one), batch{static_cast<Index>(one.size())} {}
  explicit tokens(std::vector<Index> one) : ids(std::move(one)), batch{static_cast<Index>(ids.size())} {}
  tokens(std::vector<Index> all, sequences rows) : ids(std::move(all)), batch(std::move(rows)) {
    require(static_cast<Index>(ids.size()) == batch.rows(), "tokens: ", ids.size(), " ids for ", batch.rows(), " rows");
  }
};

/// y(i) = table(ids(i)).
///
/// Shapes    table (vocab × width), y (tokens × width).
/// Throws    argument_error for an id that is not in [0, vocab).
template <number S>
struct embedding {
  parameter<S> table;

  static embedding make(const builder& b) {
    return {b.normal<S>(b.sizes.vocab, b.sizes.width, 0.02, role::embedding)};
  }

  var<S> operator()(tape<S>& t, const tokens& x) const { return (*this)(t, x.ids, x.batch); }
  var<S> operator()(tape<S>& t, std::span<const Index> ids, sequences batch) const {
    require(static_cast<Index>(ids.size()) == batch.rows(), "embedding: ", ids.size(), " ids for ", batch.rows(),
            " rows; needs one id a row");
    return lookup(t, table, ids, share(std::move(batch)));
  }

  template <class M>
  static auto fields(M& m) {
    return formwork::fields("table", m.table);
  }
};

}  // namespace formwork
