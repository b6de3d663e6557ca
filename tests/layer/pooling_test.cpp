// SPDX-License-Identifier: MIT
#include <formwork/layer.hpp>
#include <formwork/tape.hpp>

#include "kernel/checks.hpp"

namespace fw = formwork;
using fw::Index;

TEST_CASE("pooled takes the first row, the last row or the mean of each sequence") {
  fw::tape<double> quiet{fw::recording::off};
  const auto x = checks::numbers(1).matrix<double>(9, 5);
  const fw::sequences batch{4, 1, 4};
  const auto in = quiet.constant(fw::matrix<double>(x), batch);
  const auto first = fw::pooled(in, fw::pooling::first), last = fw::pooled(in, fw::pooling::last), mean = fw::pooled(in, fw::pooling::mean);
  REQUIRE(mean.rows() == 3);
  CHECK(mean.batch().count() == 3);
  for (Index j = 0; j < 5; ++j) {
    CHECK(first.value()(2, j) == x(5, j));
    CHECK(last.value()(0, j) == x(3, j));
    CHECK(mean.value()(0, j) == Approx((x(0, j) + x(1, j) + x(2, j) + x(3, j)) / 4));
    CHECK(mean.value()(1, j) == x(4, j));
  }
}

TEST_CASE("pooled: a sequence has the same bits alone and in a batch") {
  fw::tape<float> quiet{fw::recording::off};
  const auto x = checks::numbers(1).matrix<float>(23, 19);
  const auto all = fw::pooled(quiet.constant(fw::matrix<float>(x), fw::sequences{9, 14}), fw::pooling::mean);
  const auto alone = fw::pooled(quiet.constant(fw::matrix<float>(x.rows(9, 14)), fw::sequences{14}), fw::pooling::mean);
  CHECK(checks::same_bits(fw::matrix<float>(alone.value()), fw::matrix<float>(all.value().rows(1, 1))));
}

TEST_CASE("pooled has the gradient of its formula") {
  for (const fw::pooling how : {fw::pooling::first, fw::pooling::last, fw::pooling::mean}) {
    fw::parameter<double> x(checks::numbers(2).matrix<double>(8, 3), fw::role::matrix);
    const auto weight = checks::numbers(3).matrix<double>(3, 3);
    const auto report = fw::gradcheck(x, [&](fw::tape<double>& t) {
      const auto flat = fw::use(t, x);
      auto in = t.leaf(fw::matrix<double>(flat.value()), fw::share(fw::sequences{3, 1, 4}), false);
      in = fw::record(in, [d = fw::gradient_of(flat)](fw::matrix<double>& dx) { d.add(std::move(dx)); }, flat);
      const auto y = fw::pooled(in, how);
      return fw::add(fw::sum(fw::multiply(fw::multiply(y, y), t.constant(fw::matrix<double>(weight)))), fw::sum(fw::multiply(in, in)));
    });
    INFO(report);
    CHECK(report);
  }
}

TEST_CASE("pooled refuses an empty sequence") {
  fw::tape<float> quiet{fw::recording::off};
  CHECK_THROWS_WITH(fw::pooled(quiet.constant(fw::matrix<float>(2, 3, 1.f), fw::sequences{2, 0}), fw::pooling::mean),
                    "pooled: sequence 1 is empty; needs at least one token");
}
