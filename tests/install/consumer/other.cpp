// SPDX-License-Identifier: MIT
#include <formwork/formwork.hpp>
#if __has_include(<nlohmann/json.hpp>)
#include <formwork/io.hpp>
#endif

formwork::matrix<float> filled(formwork::Index rows, formwork::Index cols, float value) {
  return formwork::matrix<float>(rows, cols, value);
}
