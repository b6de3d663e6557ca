// SPDX-License-Identifier: MIT
#include "tape/hessian_cases.hpp"

using namespace hessian_cases;

TEST_CASE("a product with a model's Hessian is the derivative of its gradients, symmetric and linear") {
  SECTION("rope, rms_norm, a gated mlp, a head of its own") { check(make_gated<double>(), small_loss()); }
  SECTION("layer_norm, an mlp with gelu, biases, a tied head") { check(make_plain<double>(), small_loss()); }
}

TEST_CASE("frozen parameters stand still: what is left is a block of the whole matrix") {
  auto model = make_gated<double>();
  const fw::hessian whole(model, small_loss());
  const Index size = whole.size(), frozen = fw::parameter_count(model.embed);
  auto v = direction(size, 3);
  std::fill_n(v.data(), frozen, 0.0);
  const auto expected = whole * v;

  fw::freeze(model.embed);
  const fw::hessian h(model, small_loss());
  REQUIRE(h.size() == size - frozen);
  const auto product = h * v.cols(frozen, h.size());
  CHECK(same_bits(product, expected.cols(frozen, h.size())));
}

TEST_CASE("a product is of what the model has learned, and been assigned, by then") {
  auto model = make_gated<double>();
  const fw::hessian h(model, small_loss());
  const auto v = direction(h.size(), 3);
  const auto before = h * v;
  model.head.value()(0, 0) += 0.5;
  fw::assign(model, fw::rope{.base = 50});
  const auto after = h * v;
  CHECK(!same_bits(before, after));
  CHECK(same_bits(after, fw::hessian(model, small_loss()) * v));
}

TEMPLATE_TEST_CASE("losses and gradients of a model on numbers with slopes have the plain model's bits", "", float, double) {
  const auto model = make_gated<TestType>();
  using twin = fw::with_scalar<std::remove_const_t<decltype(model)>, fw::dual_number<TestType>>;
  static_assert(std::same_as<twin, gated<fw::dual_number<TestType>>>);
  auto moving = make_gated<fw::dual_number<TestType>>();
  const auto loss = [x = batch_of({70, 1, 40}, 31, 6), y = ids(111, 31, 7)](auto& tape, const auto& m) {
    return fw::cross_entropy(m(tape, x), y);
  };
  fw::tape<TestType> tape;
  fw::tape<fw::dual_number<TestType>> dual_tape;
  auto at_rest = model;
  fw::rng random{5};
  fw::for_each_pair(
      at_rest, moving,
      [&](auto& p, auto& q) {
        if (!p) return;
        for (Index i = 0; i < p.size(); ++i) {
          CHECK(fw::value_of(q.value().data()[i]) == p.value().data()[i]);  // made by the same random numbers
          q.value().data()[i].slope = static_cast<TestType>(random.normal());
        }
      },
      [](auto&, auto&) {});
  const auto a = loss(tape, at_rest);
  const auto b = loss(dual_tape, moving);
  CHECK(a.item() == fw::value_of(b.item()));
  tape.backward(a), dual_tape.backward(b);
  Index different = 0, compared = 0;
  fw::for_each_pair(
      at_rest, moving,
      [&](auto& p, auto& q) {
        if (!p) return;
        for (Index i = 0; i < p.size(); ++i, ++compared)
          different += p.gradient().data()[i] != fw::value_of(q.gradient().data()[i]);
      },
      [](auto&, auto&) {});
  CHECK(different == 0);
  CHECK(compared == fw::parameter_count(model));
}

TEST_CASE("the slope of the loss is its derivative along the direction: gradient · v") {
  const auto model = make_gated<double>();
  const auto loss = small_loss();
  auto moving = make_gated<fw::dual_number<double>>();
  const auto v = direction(fw::parameter_count(model), 3);
  Index at = 0;
  fw::for_each_parameter(moving, [&](auto& p) {
    for (Index i = 0; i < p.size(); ++i) p.value().data()[i].slope = v.data()[at++];
  });
  fw::tape<fw::dual_number<double>> tape{fw::recording::off};
  const auto g = gradient(model, loss, v, 0);
  CHECK(loss(tape, moving).item().slope[0] == Approx(fw::dot(g.data(), v.data(), at)).epsilon(1e-12));
}

TEST_CASE("products have the bits of any number of threads") {
  const auto model = make_gated<float>();
  const fw::hessian h(model, [x = batch_of({70, 1, 40}, 31, 6), y = ids(111, 31, 7)](auto& tape, const auto& m) {
    return fw::cross_entropy(m(tape, x), y);
  });
  fw::matrix<float> v(1, h.size());
  fw::rng{2}.fill_normal(v, 1);
  const int kept = fw::threads();
  fw::threads(1);
  const auto alone = h * v;
  for (const int team : {2, 3}) {
    fw::threads(team);
    CHECK(same_bits(h * v, alone));
  }
  fw::threads(kept);
}

TEST_CASE("a direction of another size, and a loss that is not the same twice, are refused") {
  const auto model = make_gated<double>();
  const fw::hessian h(model, small_loss());
  CHECK_THROWS_WITH(h * fw::matrix<double>(1, 3, 0.0), ContainsSubstring("hessian: v is (1 × 3); needs (1 × "));
  int calls = 0;
  const auto restless = [&](auto& tape, const auto& m) {
    return fw::scale(fw::cross_entropy(m(tape, fw::tokens{1, 2, 3}), {2, 3, 4}), ++calls);
  };
  CHECK_THROWS_WITH(fw::hessian(model, restless), ContainsSubstring("hessian: the loss is "));
}
