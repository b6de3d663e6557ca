// SPDX-License-Identifier: MIT
#include <formwork/io/dtype.hpp>

#include "support/catch.hpp"

#include <cmath>
#include <limits>

namespace fw = formwork;

TEST_CASE("from_f16 equals the formula of IEEE 754 for every half precision number") {
  for (int bits = 0; bits < 65536; ++bits) {
    const int exponent = bits >> 10 & 31, fraction = bits & 1023;
    double expected = exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
    if (exponent == 31) expected = fraction == 0 ? INFINITY : NAN;
    if (bits & 0x8000) expected = -expected;
    const float got = fw::from_f16(static_cast<std::uint16_t>(bits));
    CAPTURE(bits);
    if (std::isnan(expected))
      REQUIRE(std::isnan(got));
    else
      REQUIRE((got == expected && std::signbit(got) == std::signbit(expected)));
  }
}

TEST_CASE("from_bf16 equals its formula for every number") {
  for (int bits = 0; bits < 65536; ++bits) {
    const int exponent = bits >> 7 & 255, fraction = bits & 127;
    double expected = exponent == 0 ? std::ldexp(fraction, -133) : std::ldexp(128 + fraction, exponent - 134);
    if (exponent == 255) expected = fraction == 0 ? INFINITY : NAN;
    if (bits & 0x8000) expected = -expected;
    const float got = fw::from_bf16(static_cast<std::uint16_t>(bits));
    CAPTURE(bits);
    if (std::isnan(expected))
      REQUIRE(std::isnan(got));
    else
      REQUIRE((got == expected && std::signbit(got) == std::signbit(expected)));
  }
}

TEST_CASE("Every number type has its name and size") {
  for (const auto& row : fw::dtype_table) {
    CHECK(fw::name_of(row.type) == row.name);
    CHECK(fw::bytes_of(row.type) == row.bytes);
    CHECK(fw::dtype_named(row.name) == row.type);
  }
  CHECK(fw::dtype_named("F64") == fw::dtype::f64);
  CHECK(!fw::dtype_named("F8_E4M3"));
  CHECK(!fw::dtype_named("f32"));
  CHECK(!fw::dtype_named(""));
}
