// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/mask.hpp>
#include <formwork/core/sequences.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "kernel/checks.hpp"

// The bitwise laws of every kernel of queries, keys and values. A case is random inputs of one attention: shape, batch, q, k, v,
// dout; Case(shape, batch) makes one.

namespace bits {

namespace fw = formwork;
using fw::Index;

template <class S>
bool same_rows(const fw::matrix<S>& a, Index a_first, const fw::matrix<S>& b, Index b_first, Index count) {
  return checks::same_bits(fw::matrix<S>(a.rows(a_first, count)), fw::matrix<S>(b.rows(b_first, count)));
}

/// The rows of one sequence as a case of its own.
template <class Case>
Case alone(const Case& all, Index s) {
  const Index first = all.batch.first(s), count = all.batch.length(s);
  Case one(all.shape, fw::sequences{count});
  for (const auto member : {&Case::q, &Case::k, &Case::v, &Case::dout})
    one.*member = std::remove_cvref_t<decltype(one.*member)>((all.*member).rows(first, count));
  return one;
}

/// Feeds `counts` of each call and sequence to step(part, q, k, v), which gives what it computed of those rows: the same as
/// those rows of `whole`.
template <class S, class Case, class Step>
void calls_give_the_rows_of(const std::vector<const fw::matrix<S>*>& whole, const Case& all,
                            const std::vector<std::vector<Index>>& calls, Step step) {
  std::vector<Index> done(static_cast<std::size_t>(all.batch.count()), 0);
  for (const auto& counts : calls) {
    fw::sequences part(counts);
    part.starts(done);
    const auto next = [&](const fw::matrix<S>& from) {
      fw::matrix<S> to(part.rows(), from.cols());
      for (Index s = 0; s < part.count(); ++s)
        for (Index r = 0; r < part.length(s); ++r)
          std::copy_n(from.row(all.batch.first(s) + part.start(s) + r), to.cols(), to.row(part.first(s) + r));
      return to;
    };
    const std::vector<fw::matrix<S>> got = step(part, next(all.q), next(all.k), next(all.v));
    REQUIRE(got.size() == whole.size());
    for (Index s = 0; s < part.count(); ++s) {
      CAPTURE(s, part.start(s), part.length(s));
      for (std::size_t i = 0; i < got.size(); ++i)
        CHECK(same_rows(got[i], part.first(s), *whole[i], all.batch.first(s) + part.start(s), part.length(s)));
      done[static_cast<std::size_t>(s)] += part.length(s);
    }
  }
}

/// One sequence with a key and value that is NaN or infinite: a query that sees it is spoilt, all others keep the bits of their
/// output and gradient. A key keeps the bits of its gradients where no query sees both it and the poison.
template <class S, class Case, class Mask, class Run>
void poison_spoils_only_who_sees_it(const Case& clean, const Mask& mask, Index poisoned, Run run) {
  const Index n = clean.batch.rows();
  const auto before = run(clean);
  for (const S bad : {std::numeric_limits<S>::quiet_NaN(), std::numeric_limits<S>::infinity()}) {
    auto dirty = clean;
    std::fill_n(dirty.k.row(poisoned), dirty.k.cols(), bad);
    std::fill_n(dirty.v.row(poisoned), dirty.v.cols(), bad);
    const auto after = run(dirty);
    std::vector<bool> spoilt(static_cast<std::size_t>(n), false);
    for (Index i = 0; i < n; ++i) {
      const fw::query_site site{i, n, 0};
      CAPTURE(n, poisoned, i);
      if (mask.visible(site, poisoned)) {
        for (Index j = 0; j < n; ++j)
          if (mask.visible(site, j)) spoilt[static_cast<std::size_t>(j)] = true;
        CHECK_FALSE(std::isfinite(after.out(i, 0)));
      } else {
        CHECK(same_rows(before.out, i, after.out, i, 1));
        CHECK(same_rows(before.dq, i, after.dq, i, 1));
      }
    }
    for (Index j = 0; j < n; ++j)
      if (!spoilt[static_cast<std::size_t>(j)]) {
        CHECK(same_rows(before.dk, j, after.dk, j, 1));
        CHECK(same_rows(before.dv, j, after.dv, j, 1));
      }
  }
}

}  // namespace bits
