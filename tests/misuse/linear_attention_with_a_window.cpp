// SPDX-License-Identifier: MIT
// expect: formwork: linear attention sums over all keys or those up to the query; use causal or full
#include <formwork/attention.hpp>

namespace fw = formwork;

struct window {
  using plugs_into = fw::slot::mask;
  static constexpr bool sees_ahead = false;
  fw::Index size = 8;
  fw::key_spans spans(fw::query_site q) const { return {{{visible_from(q), q.position + 1}, {}}}; }
  fw::Index count(fw::query_site q) const { return q.position + 1 - visible_from(q); }
  bool visible(fw::query_site q, fw::Index key) const { return visible_from(q) <= key && key <= q.position; }
  fw::Index visible_from(fw::query_site q) const { return q.position < size ? 0 : q.position + 1 - size; }
};
static_assert(fw::mask_policy<window>);

#ifdef MISUSE
using chosen = fw::linear_attention<float, window>;
#else
using chosen = fw::linear_attention<float, fw::causal>;
#endif
using parameters = decltype(chosen::fields(std::declval<chosen&>()));
