// SPDX-License-Identifier: MIT
#include <formwork/position/sinusoidal.hpp>

#include "laws/position_laws.hpp"

namespace fw = formwork;
using fw::Index;

namespace {

/// The vectors of positions 0 .. count - 1.
template <class S = double>
fw::matrix<S> vectors(Index count, Index width, double base = 10000) {
  fw::tape<S> quiet{fw::recording::off};
  return fw::matrix<S>(fw::sinusoidal{.base = base}.embed(quiet.constant(fw::matrix<S>(count, width, S(0)))).value());
}
double product(const fw::matrix<double>& p, Index m, Index n) {
  double sum = 0;
  for (Index j = 0; j < p.cols(); ++j) sum += p(m, j) * p(n, j);
  return sum;
}

}  // namespace

TEST_CASE("sinusoidal keeps the laws of an absolute position") {
  for (const Index width : {1, 2, 7, 24, 33}) laws::embedding_laws<fw::sinusoidal>({}, width);
  laws::embedding_laws(fw::sinusoidal{.base = 50}, 16);
}

TEST_CASE("sinusoidal: the vector of position 1 at width 8 is the published one") {
  const double published[] = {.84147098, .54030231, .09983342, .99500417, .00999983, .99995, .001, .9999995};
  const auto p = vectors(2, 8);
  for (Index j = 0; j < 8; ++j) {
    CHECK(std::abs(p(1, j) - published[j]) <= 5.1e-9);
    CHECK(p(0, j) == double(j % 2));
  }
}

TEST_CASE("sinusoidal: the product of two vectors is the sum of the cosines of their distance") {
  const auto p = vectors(4096, 128), narrow = vectors(15, 8);
  CHECK(std::abs(product(narrow, 3, 7) - 2.26660948) <= 5.1e-9);
  CHECK(std::abs(product(narrow, 10, 14) - 2.26660948) <= 5.1e-9);
  const std::pair<Index, double> published[] = {{0, 1},        {1, .97021},   {4, .75916},    {16, .62034},
                                                {64, .47688}, {128, .33279}, {1024, .20444}};
  for (const auto& [distance, mean] : published)
    for (const Index m : {0, 1, 77, 3000}) {
      CHECK(std::abs(product(p, m, m + distance) / 64 - mean) <= 5.1e-6);
      CHECK(std::abs(product(p, m, m + distance) - product(p, 0, distance)) <= 1e-12 * 64);
    }
}

TEST_CASE("sinusoidal in float rounds the double vectors once, also at position 100000") {
  for (const Index start : {Index(0), Index(100000)}) {
    fw::sequences rows{50};
    rows.starts(std::vector<Index>{start});
    const auto at = [&]<class S>(S) {
      fw::tape<S> quiet{fw::recording::off};
      return fw::matrix<S>(fw::sinusoidal{}.embed(quiet.constant(fw::matrix<S>(50, 24, S(0)), rows)).value());
    };
    const auto narrow = at(0.f);
    const auto wide = at(0.0);
    for (Index i = 0; i < narrow.size(); ++i) REQUIRE(narrow.data()[i] == static_cast<float>(wide.data()[i]));
    for (Index j = 0; j < 12; ++j)
      CHECK(std::abs(wide(49, 2 * j) - std::sin(double(start + 49) * std::pow(10000.0, -double(j) / 12))) <= 1e-11);
  }
}

TEST_CASE("sinusoidal names a base it cannot use") {
  CHECK_THROWS_WITH(vectors(2, 4, 0), ContainsSubstring("base is 0"));
}
