// SPDX-License-Identifier: MIT
#include <formwork/tape.hpp>

#include <cmath>
#include <limits>

#include "support/catch.hpp"

namespace fw = formwork;
using fw::Index;

namespace {
fw::parameter<float> ones(Index rows, Index cols) { return {fw::matrix<float>(rows, cols, 1.f), fw::role::matrix}; }
fw::var<float> square_sum(fw::tape<float>& t, const fw::parameter<float>& p) {
  const auto x = fw::use(t, p);
  return fw::sum(fw::multiply(x, x));
}
}  // namespace

TEST_CASE("backward consumes the recording and counts the step") {
  fw::tape<float> t{{.seed = 7}};
  auto p = ones(2, 3);
  const auto loss = square_sum(t, p);
  CHECK(t.recorded() > 0);
  t.backward(loss);
  CHECK(t.recorded() == 0);
  CHECK(t.step() == 1);
  CHECK(p.gradient()(1, 2) == 2.f);
}

TEST_CASE("gradients add up until they are marked stale, then start again") {
  fw::tape<float> t;
  auto p = ones(2, 3);
  t.backward(square_sum(t, p));
  t.backward(square_sum(t, p));
  CHECK(p.gradient()(0, 0) == 4.f);
  p.mark_stale();
  CHECK_FALSE(p.has_gradient());
  t.backward(square_sum(t, p), 0.5f);
  CHECK(p.gradient()(0, 0) == 1.f);
}

TEST_CASE("a frozen parameter gets no gradient and records nothing") {
  fw::tape<float> t;
  auto p = ones(2, 3);
  p.freeze();
  const auto loss = square_sum(t, p);
  CHECK(t.recorded() == 0);
  t.backward(loss);
  CHECK_FALSE(p.has_gradient());
}

TEST_CASE("freezing a parameter drops the gradient it has: no step and no norm sees it") {
  fw::tape<float> t;
  auto p = ones(2, 3);
  t.backward(square_sum(t, p));
  p.freeze();
  CHECK_FALSE(p.has_gradient());
  p.unfreeze();
  CHECK_FALSE(p.has_gradient());
}

TEST_CASE("inference records nothing") {
  fw::tape<float> t{fw::recording::off};
  const auto p = ones(2, 3);
  CHECK(square_sum(t, p).item() == 6.f);
  CHECK(t.recorded() == 0);
}

TEST_CASE("a loss that is not finite throws and leaves gradients alone") {
  fw::tape<float> t;
  auto p = ones(1, 1);
  p.value()(0, 0) = std::numeric_limits<float>::infinity();
  const auto loss = square_sum(t, p);
  CHECK_THROWS_AS(t.backward(loss), fw::numeric_error);
  CHECK_FALSE(p.has_gradient());
  CHECK(t.recorded() == 0);
}

TEST_CASE("buffers that nobody needs return to the pool during the forward pass") {
  auto& pool = fw::pool::instance();
  const auto before = pool.statistics().in_use;
  {
    fw::tape<float> t{fw::recording::off};
    auto x = t.constant(fw::matrix<float>(64, 64, 1.f));
    pool.reset_peak();
    const auto at_start = pool.statistics().in_use;
    for (int i = 0; i < 50; ++i) x = fw::add(x, x);
    CHECK(pool.statistics().peak - at_start < 3 * 64 * 64 * sizeof(float));
  }
  CHECK(pool.statistics().in_use == before);
}

TEST_CASE("moving and copying parameters: a move keeps the recording valid, a copy is independent") {
  fw::tape<float> t;
  auto p = ones(1, 2);
  const auto loss = square_sum(t, p);
  auto moved = std::move(p);
  t.backward(loss);
  CHECK(moved.gradient()(0, 1) == 2.f);
  auto copy = moved;
  copy.value()(0, 0) = 5.f;
  CHECK(moved.value()(0, 0) == 1.f);
}

TEST_CASE("an input's gradient can be read after backward") {
  fw::tape<float> t;
  const auto x = t.input(fw::matrix<float>(2, 2, 3.f));
  t.backward(fw::sum(fw::multiply(x, x)));
  CHECK(x.gradient()(1, 1) == 6.f);
}
