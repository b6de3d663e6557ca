// SPDX-License-Identifier: MIT
#include <formwork/kernel/update.hpp>

#include "kernel/sweep.hpp"

using namespace checks;

namespace {

template <class S>
struct state {
  fw::matrix<S> value, first, second, gradient;
};

template <class S>
state<S> make(Index rows, Index cols, std::uint64_t seed) {
  numbers r(seed);
  state<S> s{r.matrix<S>(rows, cols), r.matrix<S>(rows, cols, 0.1), r.matrix<S>(rows, cols, 0.1), r.matrix<S>(rows, cols)};
  for (Index i = 0; i < s.second.size(); ++i) s.second.data()[i] = std::abs(s.second.data()[i]) + S(1e-3f);
  return s;
}
template <class T, class S>
state<T> as(const state<S>& s) {
  return {checks::as<T>(s.value), checks::as<T>(s.first), checks::as<T>(s.second), checks::as<T>(s.gradient)};
}

template <class S>
state<S> naive_adamw(state<S> s, const fw::adamw_numbers& n) {
  for (Index i = 0; i < s.value.size(); ++i) {
    S &p = s.value.data()[i], &m = s.first.data()[i], &v = s.second.data()[i];
    const S g = s.gradient.data()[i];
    m = S(n.beta1) * m + S(1 - n.beta1) * g;
    v = S(n.beta2) * v + S(1 - n.beta2) * g * g;
    const S mean = m / S(1 - std::pow(n.beta1, double(n.step))), square = v / S(1 - std::pow(n.beta2, double(n.step)));
    p = p * S(1 - n.rate * n.weight_decay) - S(n.rate) * mean / (std::sqrt(square) + S(n.epsilon));
  }
  return s;
}
template <class S>
state<S> adamw(const state<S>& s, const fw::adamw_numbers& n, places at = {}) {
  auto value = at(s.value), first = at(s.first), second = at(s.second), gradient = at(s.gradient);
  fw::adamw_update<S>(value, first, second, gradient, n);
  return {value.copy(), first.copy(), second.copy(), gradient.copy()};
}

template <class S>
state<S> naive_sgd(state<S> s, const fw::sgd_numbers& n) {
  for (Index i = 0; i < s.value.size(); ++i) {
    S &p = s.value.data()[i], &m = s.first.data()[i];
    const S g = s.gradient.data()[i];
    m = S(n.momentum) * m + g;
    const S direction = n.form == fw::momentum_form::nesterov ? g + S(n.momentum) * m : m;
    p = p * S(1 - n.rate * n.weight_decay) - S(n.rate) * direction;
  }
  return s;
}
template <class S>
state<S> sgd(const state<S>& s, const fw::sgd_numbers& n, places at = {}) {
  auto value = at(s.value), first = at(s.first), gradient = at(s.gradient);
  fw::sgd_update<S>(value, first, gradient, n);
  return {value.copy(), first.copy(), s.second, gradient.copy()};
}

/// momentum_update puts the direction where `value` is.
template <class S>
state<S> naive_momentum(state<S> s, const fw::momentum_numbers& n) {
  for (Index i = 0; i < s.first.size(); ++i) {
    const S g = S(n.share) * s.gradient.data()[i], sum = S(n.momentum) * s.first.data()[i] + g;
    s.first.data()[i] = sum;
    s.value.data()[i] = n.form == fw::momentum_form::nesterov ? g + S(n.momentum) * sum : sum;
  }
  return s;
}
template <class S>
state<S> momentum(const state<S>& s, const fw::momentum_numbers& n, places at = {}) {
  auto direction = at.template output<S>(s.value.rows(), s.value.cols()), first = at(s.first),
       gradient = at(s.gradient);
  fw::momentum_update<S>(first, direction, gradient, n);
  return {direction.copy(), first.copy(), s.second, gradient.copy()};
}

void random_case(trial& t) {
  const Index rows = t.size(200, 0), cols = t.size(std::max<Index>(1, 100'000 / std::max<Index>(rows, 1)), 0);
  const Index step = t.size(100'000);
  const double decay = t.any({0.0, 0.1}), beta1 = t.any({0.0, 0.9}), beta2 = t.any({0.95, 0.999});
  const auto form = t.any({fw::momentum_form::heavy_ball, fw::momentum_form::nesterov});
  const auto s = make<float>(rows, cols, t.seed());
  const auto wide = as<double>(s);
  const auto check = [&](const state<float>& a, const state<float>& b, const state<double>& c, const state<double>& d) {
    t.accurate("value", a.value, b.value, c.value, 2), t.accurate("value", d.value, c.value);
    t.accurate("first", a.first, b.first, c.first, 2), t.accurate("first", d.first, c.first);
    t.accurate("second", a.second, b.second, c.second, 2), t.accurate("second", d.second, c.second);
  };
  const fw::adamw_numbers n{
      .rate = 2e-3, .beta1 = beta1, .beta2 = beta2, .epsilon = 1e-6, .weight_decay = decay, .step = step};
  check(adamw(s, n, t.anywhere()), naive_adamw(s, n), naive_adamw(wide, n), adamw(wide, n, t.anywhere()));
  const fw::sgd_numbers k{.rate = .05, .momentum = beta1, .weight_decay = decay, .form = form};
  check(sgd(s, k, t.anywhere()), naive_sgd(s, k), naive_sgd(wide, k), sgd(wide, k, t.anywhere()));
  const fw::momentum_numbers m{.momentum = 0.95, .share = t.any({1.0, 0.05}), .form = form};
  check(momentum(s, m, t.anywhere()), naive_momentum(s, m), naive_momentum(wide, m), momentum(wide, m, t.anywhere()));
}

}  // namespace

TEST_CASE("adamw_update gives the published two steps") {
  fw::matrix<double> p(1, 1, 1.0), m(1, 1, 0.0), v(1, 1, 0.0), g(1, 1, 0.1);
  fw::adamw_numbers n{.rate = .01, .beta1 = .9, .beta2 = .95, .epsilon = 1e-8, .weight_decay = .1, .step = 1};
  fw::adamw_update<double>(p, m, v, g, n);
  CHECK(std::abs(p(0, 0) - 0.9890000) <= 1e-8);  // the first step is the gradient's sign
  g(0, 0) = -.2, n.step = 2;
  fw::adamw_update<double>(p, m, v, g, n);
  CHECK(std::abs(p(0, 0) - .9916447403) <= 5e-10);
}

TEST_CASE("adamw_update's numbers are a first step's unless told: every weight moves by the rate") {
  fw::matrix<double> p(1, 1, 1.0), m(1, 1, 0.0), v(1, 1, 0.0), g(1, 1, 0.1);
  fw::adamw_update<double>(p, m, v, g, {.rate = .01});
  CHECK(std::abs(p(0, 0) - .99) <= 1e-8);
}

TEMPLATE_TEST_CASE("updates are as accurate as naive loops at sizes around the lanes, with and without gaps", "", float, double) {
  using S = TestType;
  for (const auto& [rows, cols] : std::vector<std::pair<Index, Index>>{{1, 1}, {1, 15}, {1, 16}, {1, 17}, {3, 5}, {40, 33}, {2, 16385}})
    for (const Index step : {1, 2, 10, 1000}) {
      const auto s = make<S>(rows, cols, std::uint64_t(step));
      CAPTURE(step);
      const fw::adamw_numbers n{.rate = 2e-3, .beta1 = .9, .beta2 = .98, .epsilon = 1e-6, .weight_decay = .3, .step = step};
      const auto a = adamw(s, n), b = naive_adamw(s, n);
      const auto c = naive_adamw(as<double>(s), n);
      check_accuracy("value", a.value, b.value, c.value, 2);
      check_accuracy("first", a.first, b.first, c.first, 2);
      check_accuracy("second", a.second, b.second, c.second, 2);
      for (const auto form : {fw::momentum_form::heavy_ball, fw::momentum_form::nesterov}) {
        const fw::sgd_numbers k{.rate = .05, .momentum = .9, .weight_decay = .1, .form = form};
        const auto d = sgd(s, k), e = naive_sgd(s, k);
        const auto f = naive_sgd(as<double>(s), k);
        check_accuracy("value", d.value, e.value, f.value, 2);
        check_accuracy("momentum", d.first, e.first, f.first, 2);
      }
    }
}

TEST_CASE("updates are as accurate as the rule asks over random shapes") { sweep(few_cases, random_case); }
TEST_CASE("updates are as accurate as the rule asks over 2000 random shapes", "[.slow]") {
  sweep(many_cases, random_case);
}

TEMPLATE_TEST_CASE("momentum_update sums or averages gradients and looks ahead where asked, in any memory", "", float, double) {
  using S = TestType;
  for (const auto form : {fw::momentum_form::heavy_ball, fw::momentum_form::nesterov})
    for (const double share : {1.0, 0.05}) {
      CAPTURE(share);
      const auto s = make<S>(7, 33, 8);
      const fw::momentum_numbers with{.momentum = 0.95, .share = share, .form = form};
      const auto [direction, m, unused, gradient_after] = momentum(s, with);
      const auto loop = naive_momentum(s, with);
      const auto exact = naive_momentum(as<double>(s), with);
      check_accuracy("momentum", m, loop.first, exact.first, 2);
      check_accuracy("direction", direction, loop.value, exact.value, 2);
      shifted<S> moved(s.first, 3, 2), into(s.value, 1, 5), gradient(s.gradient, 2, 1);
      fw::momentum_update<S>(moved.view(), into.view(), gradient.view(), with);
      CHECK(same_bits(moved.copy(), m));
      CHECK(same_bits(into.copy(), direction));
    }
}

TEST_CASE("adamw_update in float keeps a small weight decay that 1 - rate decay would round by 1 %") {
  const fw::adamw_numbers n{.rate = 1e-4, .weight_decay = .05, .step = 1};
  fw::matrix<float> p(1, 1, 1.5f), m(1, 1, 0.0f), v(1, 1, 0.0f), g(1, 1, 0.0f);
  for (int i = 0; i < 1000; ++i) fw::adamw_update<float>(p, m, v, g, n);
  CHECK(std::abs(double(p(0, 0)) / (1.5 * std::pow(1 - 5e-6, 1000)) - 1) < 1e-4);
}

TEST_CASE("sgd_update without momentum needs no matrix for it") {
  numbers r(3);
  auto p = r.matrix<float>(3, 7), g = r.matrix<float>(3, 7);
  const auto old = p;
  fw::sgd_update<float>(p, {}, g, {.rate = .5, .momentum = 0});
  for (Index i = 0; i < p.size(); ++i) CHECK(p.data()[i] == old.data()[i] - .5f * g.data()[i]);
  CHECK_THROWS_WITH(fw::sgd_update<float>(p, {}, g, {.momentum = .9}), ContainsSubstring("its matrix is empty"));
}

TEMPLATE_TEST_CASE("updates: bits do not depend on threads, alignment or gaps between rows", "", float, double) {
  using S = TestType;
  const auto s = make<S>(3, 20001, 5);
  const fw::adamw_numbers n{.weight_decay = .1, .step = 3};
  const auto whole = adamw(s, n);
  check_threads("adamw", [&] { return adamw(s, n).value; });
  check_threads("sgd", [&] { return sgd(s, {}).value; });
  check_threads("norm", [&] { return fw::matrix<double>(1, 1, fw::squared_norm(s.value)); });
  for (Index offset = 0; offset < 16; ++offset) {
    shifted<S> p(s.value, offset, offset % 2 * 3), m(s.first, (offset * 3) % 16), v(s.second, 1), g(s.gradient, 15 - offset);
    fw::adamw_update<S>(p.view(), m.view(), v.view(), g.view(), n);
    CHECK(same_bits(p.copy(), whole.value));
    CHECK(same_bits(m.copy(), whole.first));
    CHECK(same_bits(v.copy(), whole.second));
    CHECK(fw::squared_norm<S>(shifted<S>(s.value, offset).view()) == fw::squared_norm(s.value));
  }
}

TEST_CASE("squared_norm is exact to rounding over many numbers and empty matrices are fine") {
  const auto x = numbers(6).matrix<float>(300, 1001);
  double sum = 0;
  for (Index i = 0; i < x.size(); ++i) sum += double(x.data()[i]) * double(x.data()[i]);
  CHECK(std::abs(fw::squared_norm(x) / sum - 1) <= 1e-6);
  CHECK(std::abs(fw::squared_norm<float>(x.cols(1, 999)) - [&] {
    double part = 0;
    for (Index i = 0; i < 300; ++i)
      for (Index j = 1; j < 1000; ++j) part += double(x(i, j)) * double(x(i, j));
    return part;
  }()) <= 1e-6 * sum);
  fw::matrix<float> none(0, 4);
  CHECK(fw::squared_norm(none) == 0);
  CHECK_NOTHROW(fw::adamw_update<float>(none, none, none, none, {}));
  CHECK_NOTHROW(fw::sgd_update<float>(none, none, none, {}));
  CHECK_THROWS_WITH(fw::adamw_update<float>(none, none, none, none, {.step = 0}), ContainsSubstring("step is 0"));
}
