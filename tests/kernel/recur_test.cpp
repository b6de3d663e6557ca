// SPDX-License-Identifier: MIT
// The walk of a linear memory and its adjoint, against the textbook recurrence with dense matrices.
#include "kernel/sweep.hpp"
#include "oracle/linear_memory.hpp"

namespace fw = formwork;
using fw::Index;

namespace {

template <class S>
struct problem {
  fw::sequences batch;
  fw::matrix<S> u, c, d, dy;

  problem(fw::sequences rows, Index order, Index width, std::uint64_t seed) : batch(std::move(rows)) {
    checks::numbers random(seed);
    u = random.matrix<S>(batch.rows(), width);
    c = random.matrix<S>(order, width);
    d = random.matrix<S>(1, width);
    dy = random.matrix<S>(batch.rows(), width);
  }
  template <class T>
  problem(const problem<T>& other)
      : batch(other.batch),
        u(checks::as<S>(other.u)),
        c(checks::as<S>(other.c)),
        d(checks::as<S>(other.d)),
        dy(checks::as<S>(other.dy)) {}
};

/// What the kernel gives, in the shapes of the oracle.
template <class T, class S = typename T::scalar>
oracle::memory_result<S> run(const T& step, const problem<S>& p, fw::start how = fw::start::fresh,
                             checks::places put = {}) {
  const Index width = p.u.cols(), order = p.c.rows();
  const fw::state_layout layout(step, width);
  auto u = put(p.u), c = put(p.c), d = put(p.d), dy = put(p.dy), y = put.template output<S>(p.u.rows(), width);
  auto du = put(fw::matrix<S>(p.u.rows(), width, S(1)));
  fw::matrix<S> states(p.batch.count(), layout.numbers(), S(0));
  fw::matrix<S> kept(layout.first_kept(p.u.rows(), p.batch.count()), layout.numbers());
  fw::matrix<S> partial(p.batch.count(), layout.numbers() + layout.groups() * fw::tile_cols<S>);
  fw::recur_forward(y.view(), states.all(), kept.all(), u, c, d, p.batch, step);
  fw::recur_backward(du.view(), how, partial.all(), dy, kept, u, c, d, p.batch, step);
  oracle::memory_result<S> r{y.copy(), fw::matrix<S>(p.batch.count() * width, order), du.copy(),
                             fw::matrix<S>(order, width, S(0)), fw::matrix<S>(1, width, S(0))};
  for (Index s = 0; s < p.batch.count(); ++s)
    for (Index h = 0; h < width; ++h) {
      const Index at = h / fw::tile_cols<S> * layout.size + h % fw::tile_cols<S>;
      for (Index n = 0; n < order; ++n) {
        r.x(s * width + h, n) = states(s, at + n * fw::tile_cols<S>);
        r.dc(n, h) += partial(s, at + n * fw::tile_cols<S>);
      }
      r.dd(0, h) += partial(s, layout.numbers() + h);
    }
  return r;
}

/// `more` times the accuracy rule's allowance in float.
template <class Basis, class Discretisation>
void matches(Index order, Index width, const Basis& basis, const Discretisation& by, double more = 1,
             const fw::sequences& batch = {70, 1, 0, 33}) {
  CAPTURE(order, width);
  const problem<float> p(batch, order, width, 5);
  const problem<double> precise(p);
  const auto steps = oracle::steps_of(batch.longest(), order, 1.0, basis, by);
  const auto truth = oracle::linear_memory(precise.u, precise.c, precise.d, precise.dy, batch, steps);
  const auto naive = oracle::linear_memory(p.u, p.c, p.d, p.dy, batch, steps);
  const auto single = run(fw::hippo_transition<float>(order, 1.0, basis, by), p);
  checks::check_accuracy("x", single.x, naive.x, truth.x, 2 * more);
  checks::check_accuracy("y", single.y, naive.y, truth.y, 2 * more);
  checks::check_accuracy("du", single.du, naive.du, truth.du, 3 * more);
  checks::check_accuracy("dc", single.dc, naive.dc, truth.dc, 3 * more);
  checks::check_accuracy("dd", single.dd, naive.dd, truth.dd, 3 * more);
  const auto ours = run(fw::hippo_transition<double>(order, 1.0, basis, by), precise);
  CHECK(checks::largest_error(ours.x, truth.x) < 1e-12 * std::max(1.0, checks::largest_of(truth.x)));
  CHECK(checks::largest_error(ours.y, truth.y) < 1e-12 * checks::largest_of(truth.y));
  CHECK(checks::largest_error(ours.du, truth.du) < 1e-12 * checks::largest_of(truth.du));
  CHECK(checks::largest_error(ours.dc, truth.dc) < 1e-12 * checks::largest_of(truth.dc));
  CHECK(checks::largest_error(ours.dd, truth.dd) < 1e-12 * checks::largest_of(truth.dd));
}

void random_case(checks::trial& t) {
  const Index kind = t.below(6), width = t.size(70), order = kind == 4 ? 2 * t.size(12) - 1 : t.size(24);
  const fw::sequences batch = t.ragged(std::max<Index>(20, std::min<Index>(400, 500'000 / (order * order * width))));
  const problem<float> p(batch, order, width, t.seed());
  const problem<double> precise(p);
  // `more` as above: the kernel's steps for LegS are other sums than those of dense matrices.
  const auto check = [&](const auto& basis, const auto& by, double more) {
    const auto steps = oracle::steps_of(batch.longest(), order, 1.0, basis, by);
    const auto c = oracle::linear_memory(precise.u, precise.c, precise.d, precise.dy, batch, steps);
    const auto b = oracle::linear_memory(p.u, p.c, p.d, p.dy, batch, steps);
    const auto a = run(fw::hippo_transition<float>(order, 1.0, basis, by), p, fw::start::fresh, t.anywhere());
    const auto d = run(fw::hippo_transition<double>(order, 1.0, basis, by), precise, fw::start::fresh, t.anywhere());
    t.accurate("x", a.x, b.x, c.x, 2 * more), t.accurate("x", d.x, c.x);
    t.accurate("y", a.y, b.y, c.y, 2 * more), t.accurate("y", d.y, c.y);
    t.accurate("du", a.du, b.du, c.du, 3 * more), t.accurate("du", d.du, c.du);
    t.accurate("dc", a.dc, b.dc, c.dc, 3 * more), t.accurate("dc", d.dc, c.dc);
    t.accurate("dd", a.dd, b.dd, c.dd, 3 * more), t.accurate("dd", d.dd, c.dd);
  };
  switch (kind) {
    case 0:
      return check(fw::legs{}, fw::bilinear{}, 4);
    case 1:
      return check(fw::legs{}, fw::zero_order_hold{}, 2);
    case 2:
      return check(fw::legt{.window = 40}, fw::bilinear{}, 1);
    case 3:
      return check(fw::legt{.window = 40}, fw::zero_order_hold{}, 1);
    case 4:
      return check(fw::fourier{.window = 30}, fw::backward_euler{}, 1);
    default:
      return check(fw::lagt{.scale = 4}, fw::forward_euler{}, 1);
  }
}

}  // namespace

TEST_CASE("recur: LegS in O(order) equals its dense steps, forward and backward") {
  for (const Index order : {1, 2, 16})
    for (const Index width : {1, 24, 29}) matches(order, width, fw::legs{}, fw::bilinear{}, 2);
  matches(16, 5, fw::legs{}, fw::backward_euler{});
  matches(64, 5, fw::legs{}, fw::bilinear{}, 4);
}

TEST_CASE("recur: in float LegS keeps its digits over many positions") {
  const problem<float> p(fw::sequences{2000}, 24, 8, 6);
  const auto steps = oracle::steps_of(2000, 24, 1.0, fw::legs{}, fw::bilinear{});
  const problem<double> precise(p);
  const auto truth = oracle::linear_memory(precise.u, precise.c, precise.d, precise.dy, p.batch, steps);
  const auto naive = oracle::linear_memory(p.u, p.c, p.d, p.dy, p.batch, steps);
  const auto ours = run(fw::hippo_transition<float>(24, 1.0, fw::legs{}, fw::bilinear{}), p);
  checks::check_accuracy("x", ours.x, naive.x, truth.x, 1);
}

TEST_CASE("recur: in float exact LegS keeps its digits over many positions") {
  for (const Index order : {1, 3, 16}) matches(order, 9, fw::legs{}, fw::zero_order_hold{}, 2, fw::sequences{600, 0, 250});
}

TEST_CASE("recur: exact LegS equals the exponential, forward and backward") {
  for (const Index order : {1, 2, 7, 16}) matches(order, 29, fw::legs{}, fw::zero_order_hold{}, 2);
}

TEST_CASE("recur: windows by their dense matrix") {
  matches(16, 29, fw::legt{.window = 40}, fw::bilinear{});
  matches(7, 3, fw::legt{.window = 40}, fw::zero_order_hold{});
  matches(9, 25, fw::fourier{.window = 30}, fw::backward_euler{});
  matches(5, 50, fw::lagt{.scale = 4}, fw::forward_euler{});
}

TEST_CASE("recur is as accurate as the rule asks over random shapes") { checks::sweep(checks::few_cases, random_case); }
TEST_CASE("recur is as accurate as the rule asks over 2000 random shapes", "[.slow]") {
  checks::sweep(checks::many_cases, random_case);
}

TEST_CASE("recur: a gradient that continues adds to what is there") {
  const problem<double> p(fw::sequences{40, 3}, 6, 7, 1);
  const auto step = fw::hippo_transition<double>(6, 1.0, fw::legs{}, fw::bilinear{});
  const auto fresh = run(step, p), more = run(step, p, fw::start::continued);  // onto ones
  for (Index i = 0; i < fresh.du.size(); ++i) CHECK(more.du.data()[i] == 1 + fresh.du.data()[i]);
}

TEST_CASE("recur: the same bits on any number of threads") {
  const problem<float> p(fw::sequences{300, 1, 200}, 16, 70, 3);
  const auto step = fw::hippo_transition<float>(16, 1.0, fw::legs{}, fw::bilinear{});
  checks::check_threads("y", [&] { return run(step, p).y; });
  checks::check_threads("du", [&] { return run(step, p).du; });
  checks::check_threads("dc", [&] { return run(step, p).dc; });
}

TEST_CASE("recur: one channel's NaN stays in its channel and its future") {
  problem<float> p(fw::sequences{50}, 8, 30, 4);
  for (const auto& step : {fw::hippo_transition<float>(8, 1.0, fw::legt{.window = 20}, fw::bilinear{})}) {
    const auto before = run(step, p);
    p.u(20, 3) = std::numeric_limits<float>::quiet_NaN();
    const auto after = run(step, p);
    for (Index t = 0; t < 50; ++t)
      for (Index h = 0; h < 30; ++h) CHECK((after.y(t, h) == before.y(t, h)) == !(h == 3 && t >= 20));
  }
}
