// SPDX-License-Identifier: MIT
#include <formwork/core/matrix.hpp>

#include "support/catch.hpp"

#include <algorithm>
#include <cstdint>

namespace fw = formwork;
using fw::Index;

namespace {

fw::matrix<double> counted(Index rows, Index cols) {
  fw::matrix<double> m(rows, cols);
  for (Index i = 0; i < m.size(); ++i) m.data()[i] = double(i);
  return m;
}

}  // namespace

TEST_CASE("matrix: rows follow each other from a cache line on") {
  const auto m = counted(3, 5);
  CHECK(reinterpret_cast<std::uintptr_t>(m.data()) % 64 == 0);
  CHECK(m.rows() == 3);
  CHECK(m.cols() == 5);
  CHECK(m.size() == 15);
  CHECK(m(2, 1) == 11);
  CHECK(m.row(1) == m.data() + 5);
  CHECK(fw::shape_text(m) == "(3 × 5)");
}

TEST_CASE("matrix: copies copy, moves move, and assignment does either") {
  auto a = counted(2, 3);
  auto b = a;
  b(0, 0) = 100;
  CHECK(a(0, 0) == 0);
  const double* where = b.data();
  auto c = std::move(b);
  CHECK(c.data() == where);
  CHECK(c(0, 0) == 100);
  a = c;
  CHECK(a.data() != c.data());
  CHECK(a(0, 0) == 100);
  a = a.all().rows() == 2 ? counted(1, 1) : a;
  CHECK(a.size() == 1);
  fw::matrix<double> rows_of_view(c.rows(1, 1));
  CHECK(rows_of_view(0, 2) == 5);
}

TEST_CASE("matrix: sizes 0 hold nothing and take no memory") {
  const auto before = fw::pool::instance().statistics().in_use;
  for (const auto& [rows, cols] : {std::pair<Index, Index>{0, 0}, {0, 7}, {7, 0}}) {
    fw::matrix<float> m(rows, cols);
    CHECK(m.empty());
    CHECK(m.rows() == rows);
    CHECK(m.cols() == cols);
    m.fill(1);
    const fw::matrix<float> copy(m);
    CHECK(copy.cols() == cols);
    CHECK(fw::pool::instance().statistics().in_use == before);
  }
}

TEST_CASE("matrix: an impossible size is refused by its numbers") {
  CHECK_THROWS_WITH(fw::matrix<float>(-1, 3), ContainsSubstring("-1 × 3"));
  CHECK_THROWS_WITH(fw::matrix<float>(Index(1) << 40, Index(1) << 40), ContainsSubstring("does not fit"));
}

TEST_CASE("view: a part of the rows and columns sees the same numbers") {
  auto m = counted(4, 6);
  const fw::view<double> part = m.rows(1, 2).cols(2, 3);
  CHECK(part.rows() == 2);
  CHECK(part.cols() == 3);
  CHECK(part.stride() == 6);
  CHECK(part(1, 2) == m(2, 4));
  part(0, 0) = -1;
  CHECK(m(1, 2) == -1);
  const fw::view<const double> read = part;
  CHECK(read(0, 0) == -1);
  CHECK(m.cols(0, 0).empty());
}

TEST_CASE("view: Eigen maps the same numbers, strides included") {
  auto m = counted(4, 6);
  const auto block = fw::eigen(m.cols(1, 2));
  CHECK(block.rows() == 4);
  CHECK(block.cols() == 2);
  CHECK(block(3, 1) == m(3, 2));
  fw::eigen(m.cols(1, 2)).setZero();
  CHECK(m(3, 2) == 0);
  CHECK(m(3, 3) == 21);
  const auto& constant = m;
  CHECK(fw::eigen(constant).sum() == fw::eigen(m).sum());
}
