// SPDX-License-Identifier: MIT
// expect: formwork: this position is written for plain numbers, template <real S>; numbers with slopes need template <number S>
#include <formwork/formwork.hpp>

namespace fw = formwork;

#ifdef MISUSE
template <class S>
concept scalar = fw::real<S>;
#else
template <class S>
concept scalar = fw::number<S>;
#endif

/// Later keys score less.
struct falling {
  using plugs_into = fw::slot::position;

  template <scalar S>
  fw::var<S> distance_biases(fw::tape<S>& t, fw::Index heads, fw::index_range distances) const {
    auto y = t.output(heads, distances.size(), fw::share(fw::sequences{heads}));
    for (fw::Index h = 0; h < heads; ++h)
      for (fw::Index c = 0; c < distances.size(); ++c) y.write()(h, c) = static_cast<S>(distances.first + c);
    return y;
  }
};

using model = fw::language_model<float, fw::block<float, fw::attention<float, fw::causal, falling>, fw::mlp<float>>>;
using twin = fw::with_scalar<model, fw::dual_number<float>>;
using parameters = decltype(twin::fields(std::declval<twin&>()));
