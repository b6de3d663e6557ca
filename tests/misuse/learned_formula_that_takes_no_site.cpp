// SPDX-License-Identifier: MIT
// expect: formwork: a learned formula is template <class T> T operator()(T score, score_site<T> at) const
#include <formwork/attention.hpp>
#include <formwork/score.hpp>

namespace fw = formwork;

struct bent {
  static constexpr std::array start = {1.0};
#ifdef MISUSE
  template <class T>
  T operator()(T score) const {
    return score;
  }
#else
  template <class T>
  T operator()(T score, fw::score_site<T> at) const {
    return at.learned[0] * score;
  }
#endif
};
using chosen = fw::attention<float, fw::causal, fw::learned_formula<float, bent>>;
using parameters = decltype(chosen::fields(std::declval<chosen&>()));
