// SPDX-License-Identifier: MIT
#include <formwork/layer/builder.hpp>
#include <formwork/position/learned.hpp>

#include "laws/position_laws.hpp"

namespace fw = formwork;
using fw::Index;

namespace {

template <class S>
fw::learned<S> make(Index longest, Index width) {
  fw::rng random{4};
  return fw::learned<S>::make(fw::builder{.sizes = {.width = width}, .random = random}, {.longest = longest});
}

}  // namespace

TEST_CASE("learned keeps the laws of an absolute position") {
  for (const Index width : {1, 7, 24}) {
    laws::embedding_laws_in<float>(make<float>(600, width), width);
    laws::embedding_laws_in<double>(make<double>(600, width), width);
  }
}

TEST_CASE("learned adds the row of each position, and its table starts as N(0, 0.02²) with the role of a table") {
  const auto p = make<double>(400, 50);
  CHECK(p.table.kind() == fw::role::table);
  double sum = 0, squares = 0;
  for (Index i = 0; i < p.table.size(); ++i) {
    sum += p.table.value().data()[i];
    squares += std::pow(p.table.value().data()[i], 2);
  }
  CHECK(std::abs(sum / 20000) <= 0.02 * 4 / std::sqrt(20000));
  CHECK(std::sqrt(squares / 20000) == Approx(0.02).epsilon(0.02));

  const auto x = checks::numbers(1).matrix<double>(5, 50);
  fw::tape<double> quiet{fw::recording::off};
  fw::sequences rows{3, 2};
  rows.starts(std::vector<Index>{7, 398});
  const auto y = p.embed(quiet.constant(fw::matrix<double>(x), rows));
  const Index position[] = {7, 8, 9, 398, 399};
  for (Index i = 0; i < 5; ++i)
    for (Index j = 0; j < 50; ++j) REQUIRE(y.value()(i, j) == x(i, j) + p.table.value()(position[i], j));
}

TEST_CASE("learned: the table's gradient sums over the sequences that reach a position, and adds up over batches") {
  auto p = make<double>(9, 3);
  const auto weight = checks::numbers(2).matrix<double>(9, 3), x = checks::numbers(3).matrix<double>(9, 3);
  fw::sequences rows{4, 1, 4};
  rows.starts(std::vector<Index>{0, 0, 2});
  const auto objective = [&] {
    fw::tape<double> t;
    const auto y = p.embed(t.input(fw::matrix<double>(x), rows));
    const auto loss = fw::sum(fw::multiply(y, t.constant(fw::matrix<double>(weight), rows)));
    t.backward(loss);
    return loss.item();
  };
  objective();
  const Index contributions[9][2] = {{0, 4}, {1, -1}, {2, 5}, {3, 6}, {7, -1}, {8, -1}, {-1, -1}, {-1, -1}, {-1, -1}};
  const auto expected = [&](Index k, Index j) {
    double sum = 0;
    for (const Index i : contributions[k]) sum += i < 0 ? 0 : weight(i, j);
    return sum;
  };
  for (Index k = 0; k < 9; ++k)
    for (Index j = 0; j < 3; ++j) CHECK(p.table.gradient()(k, j) == expected(k, j));
  objective();
  for (Index k = 0; k < 9; ++k)
    for (Index j = 0; j < 3; ++j) CHECK(p.table.gradient()(k, j) == Approx(2 * expected(k, j)).margin(1e-15));
}

TEST_CASE("learned refuses a position past its table, and never wraps") {
  const auto p = make<float>(4, 3);
  fw::tape<float> quiet{fw::recording::off};
  CHECK_NOTHROW(p.embed(quiet.constant(fw::matrix<float>(4, 3, 0.f))));
  CHECK_THROWS_WITH(p.embed(quiet.constant(fw::matrix<float>(5, 3, 0.f))),
                    ContainsSubstring("sequence 0 reaches position 4 but the table ends at 3"));
  fw::sequences rows{1, 1};
  rows.starts(std::vector<Index>{0, 4});
  CHECK_THROWS_AS(p.embed(quiet.constant(fw::matrix<float>(2, 3, 0.f), rows)), fw::argument_error);
  CHECK_THROWS_WITH(p.embed(quiet.constant(fw::matrix<float>(2, 5, 0.f))), ContainsSubstring("(2 × 5)"));
  CHECK_THROWS_WITH(make<float>(0, 3), ContainsSubstring("longest is 0"));
}
