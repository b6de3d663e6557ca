// SPDX-License-Identifier: MIT
// The yardstick: includes Eigen/Core and multiplies two matrices.
#include <Eigen/Core>

int main() {
  const Eigen::MatrixXf a = Eigen::MatrixXf::Random(64, 64), b = Eigen::MatrixXf::Random(64, 64);
  const Eigen::MatrixXf c = a * b;
  return c(0, 0) > 64 ? 1 : 0;
}
