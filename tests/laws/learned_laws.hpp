// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/parallel.hpp>

#include "laws/mixer_laws.hpp"

/// What every policy that learns inside the scores promises of its gradients.
namespace laws {

/// The gradients of all parameters, of a batch.
template <class M>
std::vector<fw::matrix<typename M::scalar>> parameter_gradients(const fw::sizes& sizes, const fw::sequences& batch) {
  using S = typename M::scalar;
  const M m = make_mixer<M>(sizes);
  fw::tape<S> t;
  const auto y = m(t.input(normal_matrix<S>(batch.rows(), sizes.width, 1), batch));
  t.backward(fw::sum(fw::multiply(y, t.constant(normal_matrix<S>(batch.rows(), sizes.width, 2), batch))));
  std::vector<fw::matrix<S>> r;
  fw::for_each_parameter(m, [&](const auto& p) { r.emplace_back(p.gradient()); });
  return r;
}

/// The same bits on any number of threads, and every run.
template <class M>
void learned_gradients_are_ordered(const fw::sizes& sizes) {
  const fw::sequences batch{70, 1, 0, 600};
  const int before = fw::threads();
  fw::threads(1);
  const auto expected = parameter_gradients<M>(sizes, batch);
  for (const int n : {1, 2, 3, 8}) {
    fw::threads(n);
    const auto got = parameter_gradients<M>(sizes, batch);
    CAPTURE(n);
    for (std::size_t i = 0; i < got.size(); ++i) CHECK(same_bits(got[i], expected[i]));
  }
  fw::threads(before);
}

}  // namespace laws
