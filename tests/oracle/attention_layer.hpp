// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/attention/attention.hpp>

#include <Eigen/Core>

namespace oracle {

/// What a layer of attention, with as many key heads as heads, gives for one sequence, as its formula reads.
///
/// weights(h, i, q, k) are the weights of row i under head h, of as many first keys as they say: q is that row's query
/// (1 × key_width), k that head's keys (rows × key_width).
template <class Attention, class Weights>
Eigen::MatrixXd attention_layer(const Attention& m, const formwork::matrix<double>& x, Weights weights) {
  using formwork::Index;
  const auto in = formwork::eigen(x);
  const Eigen::MatrixXd q = in * formwork::eigen(m.query.weight.value()), k = in * formwork::eigen(m.key.weight.value()),
                        v = in * formwork::eigen(m.value.weight.value());
  const Index wide = m.shape.key_width, high = m.shape.head_width;
  Eigen::MatrixXd mixed(x.rows(), m.shape.heads * high);
  for (Index h = 0; h < m.shape.heads; ++h) {
    const Eigen::MatrixXd keys = k.middleCols(wide * h, wide);
    for (Index i = 0; i < x.rows(); ++i) {
      const Eigen::VectorXd w = weights(h, i, Eigen::RowVectorXd(q.row(i).segment(wide * h, wide)), keys);
      mixed.row(i).segment(high * h, high) = w.transpose() * v.block(0, high * h, w.size(), high);
    }
  }
  return mixed * formwork::eigen(m.output.weight.value());
}

/// Weights of these scores.
inline Eigen::VectorXd softmax(const Eigen::VectorXd& scores) {
  const Eigen::VectorXd e = (scores.array() - scores.maxCoeff()).exp();
  return e / e.sum();
}

}  // namespace oracle
