// SPDX-License-Identifier: MIT
#include <formwork/core/error.hpp>
#include <formwork/core/pack.hpp>

#include "support/catch.hpp"

#include <string>
#include <typeinfo>

namespace fw = formwork;

TEST_CASE("the ABI tag names the version, the instruction set and the threading") {
  const std::string tag = fw::abi_tag;
  CHECK(tag.rfind("v" + std::to_string(FORMWORK_VERSION_MAJOR) + "_" + std::to_string(FORMWORK_VERSION_MINOR) + "_", 0) == 0);
  CHECK(tag.find(std::string("_") + fw::simd_name + "_") != std::string::npos);
#ifdef _OPENMP
  CHECK(tag.ends_with("_openmp"));
#else
  CHECK(tag.ends_with("_serial"));
#endif
}

TEST_CASE("every symbol of the library carries the tag, so that foreign objects do not link") {
  CHECK(std::string(typeid(fw::error).name()).find(fw::abi_tag) != std::string::npos);
  CHECK(std::string(typeid(fw::pack<float>).name()).find(fw::abi_tag) != std::string::npos);
}

TEST_CASE("the tag's instruction set is the one the packs use") {
  const std::string simd = fw::simd_name;
  const int floats = fw::lanes<float>;
  if (simd == "avx512") CHECK(floats == 16);
  if (simd == "avx2_fma" || simd == "avx") CHECK(floats == 8);
  if (simd == "sse2" || simd == "sse4" || simd == "neon") CHECK(floats == 4);
  if (simd == "scalar") CHECK(floats == 1);
}
