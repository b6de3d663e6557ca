// SPDX-License-Identifier: MIT
// One half of a program that hands a matrix from one translation unit to another.
#include <formwork/core/matrix.hpp>

float first_element(const formwork::matrix<float>& m);

#ifdef GIVES
int main() {
  const formwork::matrix<float> m(1, 1, 1.0f);
  return first_element(m) == 1.0f ? 0 : 1;
}
#else
float first_element(const formwork::matrix<float>& m) { return m(0, 0); }
#endif
