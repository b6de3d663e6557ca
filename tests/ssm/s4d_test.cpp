// SPDX-License-Identifier: MIT
#include <formwork/activation.hpp>
#include <formwork/ssm.hpp>

#include "kernel/checks.hpp"
#include "laws/mixer_laws.hpp"

namespace fw = formwork;
using fw::Index;

template <class S>
using legs = fw::s4d<S>;
template <class S>
using lin = fw::s4d<S, fw::bilinear, fw::s4d_lin>;
template <class S>
using inv = fw::s4d<S, fw::silu, fw::s4d_inv>;
template <class S>
using real_modes = fw::s4d<S, fw::s4d_real, fw::zero_order_hold>;
template <class S>
using real_bilinear = fw::s4d<S, fw::s4d_real, fw::bilinear>;

static_assert(fw::mixer<legs<double>> && fw::mixer<real_modes<float>>);

namespace {
const fw::sizes whole{.width = 16, .state_width = 8}, ragged{.width = 11, .state_width = 6, .bias = fw::biases::all};

template <class M>
M layer(const fw::sizes& sizes) {
  return laws::make_mixer<M>(sizes);
}
}  // namespace

TEMPLATE_TEST_CASE("s4d: a sequence has the same bits alone and in a ragged batch", "", legs<float>, lin<double>, inv<float>,
                   real_modes<float>, real_bilinear<double>) {
  laws::alone_as_in_a_batch<TestType>(whole);
  laws::alone_as_in_a_batch<TestType>(ragged);
}

TEMPLATE_TEST_CASE("s4d: prefill in any split, then steps, equals the parallel form", "", legs<float>, lin<double>, inv<float>,
                   real_modes<float>, real_bilinear<double>) {
  laws::any_split_equals_the_parallel_form<TestType>(whole);
  laws::any_split_equals_the_parallel_form<TestType>(ragged);
}

TEMPLATE_TEST_CASE("s4d: nothing sees the future", "", legs<float>, lin<double>, real_modes<float>) {
  laws::nothing_sees_the_future<TestType>(whole);
  laws::nothing_sees_the_future<TestType>(ragged);
}

TEMPLATE_TEST_CASE("s4d: gradients match central differences", "", legs<double>, lin<double>, inv<double>, real_modes<double>,
                   real_bilinear<double>) {
  laws::gradients_are_right<TestType>({.width = 5, .state_width = 6, .bias = fw::biases::all});
}

TEST_CASE("s4d: gradients match central differences over several chunks and spans") {
  auto m = layer<legs<double>>({.width = 3, .state_width = 4});
  const fw::sequences batch{200, 17};
  const auto x = laws::normal_matrix<double>(batch.rows(), 3, 1), weight = laws::normal_matrix<double>(batch.rows(), 3, 2);
  const auto report = fw::gradcheck(m, [&](fw::tape<double>& t) {
    return fw::sum(fw::multiply(m(t.constant(fw::matrix<double>(x), batch)), t.constant(fw::matrix<double>(weight), batch)));
  });
  INFO(report);
  CHECK(report);
}

TEST_CASE("s4d: outputs and gradients have the same bits on any number of threads") {
  const auto m = layer<legs<float>>({.width = 40, .state_width = 8});
  const fw::sequences batch{150, 3, 64};
  checks::check_threads("s4d", [&] {
    fw::tape<float> t;
    const auto x = t.input(laws::normal_matrix<float>(batch.rows(), 40, 1), batch);
    const auto y = m(x);
    t.backward(fw::sum(fw::multiply(y, y)));
    fw::matrix<float> all(2 * batch.rows() + 8, 40);
    eigen(all).topRows(batch.rows()) = eigen(y.value());
    eigen(all).middleRows(batch.rows(), batch.rows()) = eigen(x.gradient());
    eigen(all).middleRows(2 * batch.rows(), 4) = eigen(m.log_a_real.address()->gradient.sum);
    eigen(all).bottomRows(4) = eigen(m.c_imag.address()->gradient.sum);
    for (auto* p : {&m.log_a_real, &m.c_imag}) p->address()->gradient.next = fw::start::fresh;
    return all;
  });
}

TEST_CASE("s4d: a frozen state space still passes the gradient of its input on") {
  auto m = layer<legs<double>>(whole);
  const auto gradient = [&] {
    fw::tape<double> t;
    const auto x = t.input(laws::normal_matrix<double>(40, 16, 1));
    t.backward(fw::sum(m(x)));
    return fw::matrix<double>(x.gradient());
  };
  const auto expected = gradient();
  for (auto* p : {&m.log_a_real, &m.a_imag, &m.c_real, &m.c_imag, &m.log_step, &m.d}) p->freeze();
  CHECK(laws::same_bits(gradient(), expected));
  CHECK(!m.c_real.has_gradient());
  CHECK(m.output.value.weight.has_gradient());
}

TEST_CASE("s4d: a layer that moves before the backward pass still gets its gradients") {
  laws::a_moved_layer_gets_its_gradients<legs<double>>(whole);
}

TEST_CASE("s4d starts as published: steps within their range, the modes in every channel, roles for the optimizer") {
  const auto m = layer<legs<double>>({.width = 300, .state_width = 8});
  const double w[] = {19.85741037, 5.35420852, 1.95779415, .42748871};
  for (Index n = 0; n < 4; ++n)
    for (const Index h : {0, 17, 299}) {
      CHECK(-std::exp(m.log_a_real.value()(n, h)) == Approx(-0.5));
      CHECK(std::abs(m.a_imag.value()(n, h) - w[n]) < 1e-8);
    }
  const auto steps = eigen(m.log_step.value());
  CHECK((steps.minCoeff() >= std::log(1e-3) && steps.maxCoeff() <= std::log(1e-1)));
  CHECK(steps.maxCoeff() - steps.minCoeff() > 0.9 * std::log(100.0));
  const double power = (eigen(m.c_real.value()).squaredNorm() + eigen(m.c_imag.value()).squaredNorm()) / 1200;
  CHECK(std::abs(power - 1) < 0.15);
  for (const auto* p : {&m.log_a_real, &m.a_imag, &m.log_step}) CHECK(p->kind() == fw::role::dynamics);
  for (const auto* p : {&m.c_real, &m.c_imag, &m.d}) CHECK(p->kind() == fw::role::gain);
  CHECK(m.output.value.weight.kind() == fw::role::matrix);
}

TEST_CASE("s4d: values given to make fill their slots") {
  fw::rng random{1};
  const auto m = legs<double>::make(fw::builder{.sizes = whole, .random = random},
                                    fw::log_uniform_step{.smallest = 0.5, .largest = 0.5});
  CHECK(eigen(m.log_step.value()).isConstant(std::log(0.5), 1e-15));
}

TEST_CASE("s4d: sizes and shapes that do not fit are refused with a remedy") {
  fw::rng random{1};
  CHECK_THROWS_WITH(legs<float>::make(fw::builder{.sizes = {.width = 4, .state_width = 5}, .random = random}),
                    ContainsSubstring("state_width is 5") && ContainsSubstring("even"));
  CHECK_NOTHROW(real_modes<float>::make(fw::builder{.sizes = {.width = 4, .state_width = 5}, .random = random}));
  CHECK_THROWS_WITH(legs<float>::make(fw::builder{.sizes = whole, .random = random}, fw::log_uniform_step{.smallest = 0}),
                    ContainsSubstring("smallest"));
  laws::wrong_calls_are_refused<legs<float>>("s4d", whole);
}
