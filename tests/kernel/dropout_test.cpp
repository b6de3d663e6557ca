// SPDX-License-Identifier: MIT
#include <formwork/kernel/dropout.hpp>

#include "kernel/sweep.hpp"

using namespace checks;

namespace {

template <class S>
fw::matrix<S> dropped(const fw::matrix<S>& x, const fw::dropout_mask& mask, const fw::sequences& rows) {
  fw::matrix<S> y(x.rows(), x.cols(), std::numeric_limits<S>::quiet_NaN());
  fw::dropout_forward<S>(y, x, mask, rows);
  return y;
}

/// Nothing is rounded but the product with 1 / (1 - rate), so ours must equal the formula.
void random_case(trial& t) {
  const Index width = t.size(2000, 0);
  auto rows = t.ragged(100'000 / std::max<Index>(width, 100));
  std::vector<Index> starts, ids;
  for (Index s = 0; s < rows.count(); ++s) starts.push_back(t.size(5000, 0)), ids.push_back(t.below(1000));
  rows.starts(starts).ids(ids);
  const double rate = t.any({0.0, 0.1, 0.5, 0.99});
  const auto way = t.any({fw::start::fresh, fw::start::continued});
  const auto below = [&](Index most) { return static_cast<std::uint64_t>(t.below(most)); };
  const fw::dropout_mask mask(t.seed(), below(1000), below(50), rate);
  const auto x = numbers(t.seed()).matrix<float>(rows.rows(), width);
  places at = t.anywhere();
  auto from = at(x), y = at.output<float>(rows.rows(), width), dx = at(fw::matrix<float>(rows.rows(), width, 1));
  fw::dropout_forward<float>(y, from, mask, rows);
  fw::dropout_backward<float>(dx, from, mask, rows, way);
  const auto forward = y.copy(), backward = dx.copy();
  Index wrong = 0;
  for (Index s = 0; s < rows.count(); ++s)
    for (Index i = 0; i < rows.length(s); ++i)
      for (Index j = 0; j < width; ++j) {
        const Index row = rows.first(s) + i;
        const float kept = mask.keeps(rows.id(s), rows.start(s) + i, j) ? x(row, j) * float(1 / (1 - rate)) : 0;
        wrong += forward(row, j) != kept || backward(row, j) != (way == fw::start::fresh ? kept : 1 + kept);
      }
  CAPTURE(rows.rows(), width, rate);
  CHECK(wrong == 0);
}

}  // namespace

TEMPLATE_TEST_CASE("dropout keeps a number scaled by 1 / (1 - rate) or makes it 0, as the mask says, forward and backward", "", float, double) {
  using S = TestType;
  for (const double rate : {0.0, 0.1, 0.5, 0.9})
    for (const Index width : {1, 3, 16, 17, 33, 300}) {
      const auto x = numbers(1).matrix<S>(9, width);
      fw::sequences rows{4, 0, 5};
      rows.ids(std::vector<Index>{70, 3, 12}).starts(std::vector<Index>{0, 0, 1000});
      const fw::dropout_mask mask(11, 5, 2, rate);
      const auto y = dropped(x, mask, rows);
      fw::matrix<S> dx(9, width, S(1));
      fw::dropout_backward<S>(dx, x, mask, rows, fw::start::continued);
      Index wrong = 0;
      for (Index i = 0; i < 9; ++i)
        for (Index j = 0; j < width; ++j) {
          const bool kept = mask.keeps(i < 4 ? 70 : 12, i < 4 ? i : 1000 + i - 4, j);
          const S expected = kept ? x(i, j) * S(1 / (1 - rate)) : S(0);
          wrong += y(i, j) != expected || dx(i, j) != S(1) + expected;
        }
      CAPTURE(rate, width);
      CHECK(wrong == 0);
    }
}

TEST_CASE("dropout does what its mask says over random shapes") { sweep(few_cases, random_case); }
TEST_CASE("dropout does what its mask says over 2000 random shapes", "[.slow]") { sweep(many_cases, random_case); }

TEST_CASE("dropout keeps 1 - rate of the numbers, of every column and every row alike") {
  const fw::matrix<float> ones(2000, 64, 1.0f);
  const auto y = dropped(ones, fw::dropout_mask(1, 2, 3, 0.3), fw::sequences{2000});
  double all = 0, worst = 0;
  for (Index j = 0; j < 64; ++j) {
    double column = 0;
    for (Index i = 0; i < 2000; ++i) column += y(i, j) != 0;
    worst = std::max(worst, std::abs(column / 2000 - 0.7));
    all += column;
  }
  CHECK(std::abs(all / (2000 * 64) - 0.7) <= 5 * std::sqrt(0.21 / (2000 * 64)));
  CHECK(worst <= 5 * std::sqrt(0.21 / 2000));
}

TEST_CASE("dropout: another seed, step or stream draws another mask") {
  const fw::matrix<float> ones(20, 64, 1.0f);
  const fw::sequences rows{20};
  const auto y = dropped(ones, fw::dropout_mask(1, 2, 3, 0.5), rows);
  for (const auto& other : {fw::dropout_mask(2, 2, 3, 0.5), fw::dropout_mask(1, 3, 3, 0.5), fw::dropout_mask(1, 2, 4, 0.5)}) {
    const auto z = dropped(ones, other, rows);
    Index equal = 0;
    for (Index i = 0; i < z.size(); ++i) equal += z.data()[i] == y.data()[i];
    CHECK((equal > 500 && equal < 780));
  }
}

TEMPLATE_TEST_CASE("dropout: a sequence draws the same alone, in a batch, in pieces, on any threads, at any alignment, in place", "", float, double) {
  using S = TestType;
  const auto x = numbers(2).matrix<S>(60, 41);
  const fw::dropout_mask mask(3, 1, 4, 0.4);
  const fw::sequences batch{17, 1, 42};
  const auto all = dropped(x, mask, batch);
  check_threads("y", [&] { return dropped(x, mask, batch); });
  fw::sequences alone{42};
  alone.ids(std::vector<Index>{2});
  CHECK(same_bits(dropped(fw::matrix<S>(x.rows(18, 42)), mask, alone), fw::matrix<S>(all.rows(18, 42))));
  fw::sequences piece{12};
  piece.ids(std::vector<Index>{2}).starts(std::vector<Index>{30});
  CHECK(same_bits(dropped(fw::matrix<S>(x.rows(48, 12)), mask, piece), fw::matrix<S>(all.rows(48, 12))));
  for (Index offset = 0; offset < 16; ++offset) {
    shifted<S> y(x, offset, offset % 3);
    fw::dropout_forward<S>(y.view(), y.view(), mask, batch);
    CHECK(same_bits(y.copy(), all));
  }
}

TEST_CASE("dropout: a dropped NaN is gone, empty inputs are fine, wrong rows and rates are named") {
  fw::matrix<float> x(8, 30, std::numeric_limits<float>::quiet_NaN()), none(0, 7);
  const auto y = dropped(x, fw::dropout_mask(1, 1, 1, 0.5), fw::sequences{8});
  Index zeros = 0;
  for (Index i = 0; i < y.size(); ++i) zeros += y.data()[i] == 0;
  CHECK((zeros > 80 && zeros < 160));
  CHECK_NOTHROW(dropped(none, fw::dropout_mask(1, 1, 1, 0.5), fw::sequences{}));
  CHECK_THROWS_WITH(dropped(x, fw::dropout_mask(1, 1, 1, 0.5), fw::sequences{7}), ContainsSubstring("the sequences have 7 rows"));
  CHECK_THROWS_WITH(fw::dropout_mask(1, 1, 1, 1.0), ContainsSubstring("rate is 1"));
}
