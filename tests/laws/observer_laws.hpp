// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/observer.hpp>

#include <tuple>

#include "kernel/attend_cases.hpp"
#include "kernel/attention_bits.hpp"
#include "kernel/talking_cases.hpp"

/// What every observer promises (contract/observer.hpp).
namespace laws {

namespace fw = formwork;
using fw::Index;

/// An observer of one's own, as small as can be: how many keys get more than a share of the row.
struct keys_above {
  using plugs_into = fw::slot::observer;
  static constexpr std::string_view name = "keys_above";

  double share = 0.1;

  template <fw::real S>
  fw::pack<S> begin() const {
    return fw::pack<S>(0);
  }
  template <fw::real S>
  void take(fw::pack<S>& keys, fw::observer_site<S>, fw::pack<S>, fw::pack<S> weights) const {
    using P = fw::pack<S>;
    keys += select(weights > P(share), P(1), P(0));
  }
  template <fw::real S>
  S finish(fw::pack<S> keys) const {
    return sum(keys);
  }
};
static_assert(fw::observer_policy<keys_above>);

/// Every third query sees nothing, the others a few first keys and the last ones up to their own.
struct window_with_blind_rows : oracle::sinks_and_window {
  fw::key_spans spans(fw::query_site at) const {
    return at.position % 3 == 1 ? fw::key_spans{} : oracle::sinks_and_window::spans(at);
  }
  Index count(fw::query_site at) const { return spans(at)[0].size() + spans(at)[1].size(); }
  bool visible(fw::query_site at, Index key) const { return spans(at)[0].holds(key) || spans(at)[1].holds(key); }
};

/// What observers see of a case: keys beside the queries, or those of a cache.
template <class S, class Policies, class... Observer>
std::vector<fw::matrix<S>> observed(const auto& one, const Policies& chosen, const Observer&... observer) {
  fw::matrix<S> out(one.q.rows(), one.dout.cols()), kept(one.q.rows(), one.shape.heads);
  fw::attend_forward<S>(out, kept, one.q, one.k, one.v, one.batch, one.key_batch, one.shape, chosen);
  std::vector<fw::matrix<S>> seen;
  for (std::size_t n = 0; n < sizeof...(Observer); ++n) seen.emplace_back(kept.rows(), kept.cols());
  std::array<fw::view<S>, sizeof...(Observer)> to;
  std::copy(seen.begin(), seen.end(), to.begin());
  fw::attend_observe<S>(to, kept, one.q, one.k, one.batch, one.key_batch, one.shape, chosen, std::tuple(observer...));
  return seen;
}

/// One sequence of a case.
template <class Case>
Case sequence_of(const Case& all, Index s) {
  const Index first = all.batch.first(s), count = all.batch.length(s);
  Case one = all;
  one.batch = one.key_batch = fw::sequences{count};
  for (const auto member : {&Case::q, &Case::k, &Case::v, &Case::dout})
    one.*member = std::remove_cvref_t<decltype(one.*member)>((all.*member).rows(first, count));
  return one;
}

/// The number of a row has the same bits on any number of threads, alone and in a batch.
template <class S>
void depend_on_their_row(const auto& all, const auto& chosen, const auto& observer) {
  const auto whole = observed<S>(all, chosen, observer)[0];
  checks::check_threads("observed", [&] { return observed<S>(all, chosen, observer)[0]; });
  for (Index s = 0; s < all.batch.count(); ++s) {
    CAPTURE(s);
    CHECK(bits::same_rows(observed<S>(sequence_of(all, s), chosen, observer)[0], 0, whole, all.batch.first(s),
                          all.batch.length(s)));
  }
}

/// Rows that come call by call, down to one by one, see what they see in one call.
template <class S>
void come_in_any_split(const auto& all, const auto& chosen, const auto& observer) {
  const auto whole = observed<S>(all, chosen, observer)[0];
  fw::key_value_cache<S> cache(all.batch.count(), all.batch.longest(), all.shape);
  std::vector<std::vector<Index>> calls{{100, 3, 1}, {93, 1, 31}, {1, 1, 0}, {1, 0, 0}, {190, 0, 0}};
  for (int step = 0; step < 3; ++step) calls.push_back({1, 0, 1});
  bits::calls_give_the_rows_of<S>({&whole}, all, calls, [&](const auto& part, const auto& q, const auto& k, const auto& v) {
    fw::matrix<S> out(part.rows(), all.dout.cols()), kept(part.rows(), all.shape.heads);
    std::vector<fw::matrix<S>> seen{{part.rows(), all.shape.heads}};
    cache.append(k, v, part);
    fw::attend_forward<S>(out, kept, q, cache, part, all.shape, chosen);
    fw::attend_observe<S>({seen[0]}, kept, q, cache, part, all.shape, chosen, std::tuple(observer));
    return seen;
  });
}

/// NaN in a key that a row does not see changes no bit of its number.
template <class S>
void are_not_spoilt_from_outside(const auto& all, const auto& chosen, const auto& observer, Index poisoned) {
  const auto one = sequence_of(all, 0);
  auto dirty = one;
  std::fill_n(dirty.k.row(poisoned), dirty.k.cols(), std::numeric_limits<S>::quiet_NaN());
  const auto before = observed<S>(one, chosen, observer)[0], after = observed<S>(dirty, chosen, observer)[0];
  int blind = 0;
  for (Index i = 0; i < one.q.rows(); ++i)
    if (!chosen.mask.visible({i, one.q.rows(), 0}, poisoned)) {
      CAPTURE(i, poisoned);
      CHECK(bits::same_rows(before, i, after, i, 1));
      ++blind;
    }
  CHECK(blind > 0);
}

/// A row that sees nothing has the number of nothing.
template <class S>
void see_nothing(const auto& all, const auto& chosen, const auto& observer) {
  const auto numbers = observed<S>(all, chosen, observer)[0];
  const S nothing = observer.finish(observer.template begin<S>());
  for (Index s = 0; s < all.batch.count(); ++s)
    for (Index i = 1; i < all.batch.length(s); i += 3)
      for (Index h = 0; h < all.shape.heads; ++h) CHECK(numbers(all.batch.first(s) + i, h) == nothing);
}

template <class S, class Observer>
void observer_laws(const Observer& observer) {
  const fw::sequences batch{388, 5, 35};
  const cases::attention_case<S> apart({4, 2, 20, 3}, batch);
  const cases::talking_case<S> meeting(cases::talking(2, 3, 2, 9, 3), batch);
  const auto check = [&](const auto& all, const auto& chosen) {
    depend_on_their_row<S>(all, chosen, observer);
    come_in_any_split<S>(all, chosen, observer);
    for (const Index poisoned : {2, 50, 200, 387}) are_not_spoilt_from_outside<S>(all, chosen, observer, poisoned);
    see_nothing<S>(all, chosen, observer);
  };
  const cases::mechanisms by{window_with_blind_rows{}, oracle::by_visible_keys{}, fw::softcap{3}};
  check(apart, cases::policies(by.mask, by.scale, by.score));
  check(meeting, meeting.policies(by));
}

}  // namespace laws
