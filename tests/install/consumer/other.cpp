// SPDX-License-Identifier: MIT
#if __has_include(<nlohmann/json.hpp>)
#include <formwork/formwork.hpp>
#else
#include <formwork/core/matrix.hpp>
#endif

formwork::matrix<float> filled(formwork::Index rows, formwork::Index cols, float value) {
  return formwork::matrix<float>(rows, cols, value);
}
