// SPDX-License-Identifier: MIT
#include <formwork/core/complex.hpp>

#include <complex>
#include <limits>

#include "support/catch.hpp"

namespace fw = formwork;

TEMPLATE_TEST_CASE("complex packs compute as complex numbers do", "", float, double) {
  using P = fw::pack<TestType>;
  using number = std::complex<TestType>;
  const auto pack = [](number z) { return fw::complex<P>{P(z.real()), P(z.imag())}; };
  const auto near = [](fw::complex<P> z, number expected) {
    return std::abs(number(z.re[P::size - 1], z.im[0]) - expected) <= 4 * std::numeric_limits<TestType>::epsilon() * std::abs(expected);
  };
  const number a(TestType(1.5), TestType(-0.3)), b(TestType(-0.7), TestType(2.1)), c(TestType(0.2), TestType(0.9));
  CHECK(near(pack(a) + pack(b), a + b));
  CHECK(near(pack(a) - pack(b), a - b));
  CHECK(near(pack(a) * pack(b), a * b));
  CHECK(near(P(TestType(3)) * pack(b), TestType(3) * b));
  CHECK(near(fma(pack(a), pack(b), pack(c)), a * b + c));
  CHECK(near(conj(pack(a)), std::conj(a)));
  CHECK(near(inverse(pack(b)), TestType(1) / b));
  CHECK(std::abs(norm(pack(a))[0] - std::norm(a)) <= std::numeric_limits<TestType>::epsilon() * std::norm(a));
  CHECK(near(select(P(1) < P(2), pack(a), pack(b)), a));
  CHECK(near(select(P(2) < P(1), pack(a), pack(b)), b));
}
