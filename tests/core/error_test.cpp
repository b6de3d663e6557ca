// SPDX-License-Identifier: MIT
#include <formwork/core/error.hpp>

#include "support/catch.hpp"

namespace fw = formwork;

namespace {

struct shape {
  int rows() const { return 64; }
  int cols() const { return 32; }
};

/// Counts how often it is printed.
struct counter {
  int* printed;
};
std::ostream& operator<<(std::ostream& out, const counter& c) {
  ++*c.printed;
  return out << "part";
}

}  // namespace

TEST_CASE("require throws the joined parts, as an argument_error unless told otherwise") {
  CHECK_THROWS_AS(fw::require(false, "x"), fw::argument_error);
  CHECK_THROWS_AS(fw::require<fw::numeric_error>(false, "x"), fw::numeric_error);
  CHECK_THROWS_AS(fw::require<fw::file_error>(false, "x"), fw::file_error);
  CHECK_THROWS_WITH(fw::require(false, "linear: x is ", fw::shape_text(shape{}), "; needs ", 3),
                    Catch::Matchers::Equals("linear: x is (64 × 32); needs 3"));
}

TEST_CASE("require prints nothing where its condition holds") {
  int printed = 0;
  CHECK_NOTHROW(fw::require(true, counter{&printed}));
  CHECK(printed == 0);
  CHECK_THROWS(fw::require(false, counter{&printed}));
  CHECK(printed == 1);
}

TEST_CASE("every error of the library can be caught as one, and as a runtime_error") {
  CHECK_THROWS_AS(throw fw::argument_error("x"), fw::error);
  CHECK_THROWS_AS(throw fw::numeric_error("x"), fw::error);
  CHECK_THROWS_AS(throw fw::file_error("x"), std::runtime_error);
}
