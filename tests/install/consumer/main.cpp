// SPDX-License-Identifier: MIT
// Two units of one program include everything: a function that is not inline would be defined twice.
#include <formwork/formwork.hpp>
#if __has_include(<nlohmann/json.hpp>)
#include <formwork/io.hpp>
#endif

#include <string_view>

formwork::matrix<float> filled(formwork::Index rows, formwork::Index cols, float value);

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)
static_assert(std::string_view(FOUND_VERSION) ==
              TEXT(FORMWORK_VERSION_MAJOR) "." TEXT(FORMWORK_VERSION_MINOR) "." TEXT(FORMWORK_VERSION_PATCH));

int main() {
  const formwork::matrix<float> m = filled(3, 4, 2);
  float sum = 0;
  for (formwork::Index i = 0; i < 3; ++i)
    for (formwork::Index j = 0; j < 4; ++j) sum += m(i, j);
  return sum == 24 ? 0 : 1;
}
