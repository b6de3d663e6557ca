// SPDX-License-Identifier: MIT
// expect: formwork: an observer has a name, begin<S>(), take(row, at, scores, weights) and finish(row)
#include <formwork/attention.hpp>

namespace fw = formwork;

struct mean_weight {
  using plugs_into = fw::slot::observer;
  static constexpr std::string_view name = "mean_weight";
  template <fw::real S>
  fw::pack<S> begin() const {
    return fw::pack<S>(0);
  }
  template <fw::real S>
  void take(fw::pack<S>& sum, fw::observer_site<S>, fw::pack<S>, fw::pack<S> weights) const {
    sum += weights;
  }
#ifndef MISUSE
  template <fw::real S>
  S finish(fw::pack<S> total) const {
    return sum(total);
  }
#endif
};

using chosen = fw::attention<float, fw::causal, mean_weight>;
using parameters = decltype(chosen::fields(std::declval<chosen&>()));
