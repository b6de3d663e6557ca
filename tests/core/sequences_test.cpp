// SPDX-License-Identifier: MIT
#include <formwork/core/sequences.hpp>

#include "support/catch.hpp"

#include <limits>
#include <vector>

namespace fw = formwork;
using fw::Index;

TEST_CASE("sequences: rows follow each other, empty sequences included") {
  const fw::sequences s{3, 0, 4};
  CHECK(s.count() == 3);
  CHECK(s.rows() == 7);
  CHECK(s.first(0) == 0);
  CHECK(s.first(1) == 3);
  CHECK(s.first(2) == 3);
  CHECK(s.length(1) == 0);
  CHECK(s.length(2) == 4);
  CHECK(s.longest() == 4);
}

TEST_CASE("sequences: none at all is a batch of no rows") {
  const fw::sequences s;
  CHECK(s.count() == 0);
  CHECK(s.rows() == 0);
  CHECK(s.longest() == 0);
  CHECK(fw::sequences::equal(0, 5) == s);
}

TEST_CASE("sequences: equal lengths are the special case") {
  CHECK(fw::sequences::equal(3, 4) == fw::sequences{4, 4, 4});
  CHECK_FALSE(fw::sequences::equal(3, 4) == fw::sequences{4, 4, 3});
  CHECK_FALSE(fw::sequences{2, 2} == fw::sequences{4});
}

TEST_CASE("sequences: positions start at 0 and ids count until they are given") {
  fw::sequences s{2, 3};
  CHECK(s.start(1) == 0);
  CHECK(s.id(1) == 1);
  s.starts(std::vector<Index>{5, 6}).ids(std::vector<Index>{40, 30});
  CHECK(s.start(0) == 5);
  CHECK(s.start(1) == 6);
  CHECK(s.id(0) == 40);
  CHECK(s.id(1) == 30);
}

TEST_CASE("sequences: a row has the position it is at in its sequence, and a length may be declared") {
  fw::sequences s{2, 0, 3};
  CHECK(s.position_of(1) == 1);
  CHECK(s.position_of(2) == 0);
  s.starts(std::vector<Index>{5, 6, 7});
  CHECK(s.position_of(1) == 6);
  CHECK(s.position_of(2) == 7);
  CHECK(s.position_of(4) == 9);
  CHECK(s.declared() == 0);
  CHECK(s.declare(64).declared() == 64);
  CHECK_THROWS_WITH(s.declare(-1), ContainsSubstring("declared length is -1"));
}

TEST_CASE("sequences: wrong lengths, starts and ids are refused by their numbers") {
  CHECK_THROWS_WITH((fw::sequences{2, -3}), ContainsSubstring("length -3 of sequence 1"));
  const Index largest = std::numeric_limits<Index>::max();
  CHECK(fw::sequences{largest, 0}.rows() == largest);
  CHECK_THROWS_WITH((fw::sequences{largest, largest, 4}), ContainsSubstring("needs a sum that is an Index"));
  CHECK_THROWS_AS(fw::sequences::equal(-1, 2), fw::argument_error);
  fw::sequences s{1, 1};
  CHECK_THROWS_WITH(s.starts(std::vector<Index>{1}), ContainsSubstring("1 starts for 2 sequences"));
  CHECK_THROWS_WITH(s.ids(std::vector<Index>{1, 2, 3}), ContainsSubstring("3 ids for 2 sequences"));
}
