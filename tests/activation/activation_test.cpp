// SPDX-License-Identifier: MIT
#include <formwork/activation.hpp>

#include "laws/activation_laws.hpp"

namespace fw = formwork;

namespace {

/// The smallest activation: what a newcomer writes.
struct cube {
  using plugs_into = fw::slot::activation;
  template <class T>
  T operator()(T x) const {
    return x * x * x;
  }
};
static_assert(fw::activation_policy<cube>);

struct not_an_activation {
  using plugs_into = fw::slot::score;
  template <class T>
  T operator()(T x) const {
    return x;
  }
};
static_assert(!fw::activation_policy<not_an_activation>);

template <class Activation>
void check_numbers(const std::vector<std::array<double, 3>>& table) {
  for (const auto& [x, y, slope] : table) {
    const auto [value, derivative] = laws::value_and_slope<double>(Activation{}, x);
    CAPTURE(x);
    CHECK(std::abs(value - y) <= 1e-14 * std::abs(y));
    CHECK(std::abs(derivative - slope) <= 1e-14 * std::abs(slope));
  }
}

}  // namespace

TEMPLATE_TEST_CASE("activations keep their laws", "", fw::gelu, fw::gelu_tanh, fw::silu, fw::relu2, cube) {
  laws::activation_laws(TestType{});
}

// x, value, slope, by mpmath with 40 digits.
TEST_CASE("gelu is x times the normal distribution function, its far tail included") {
  check_numbers<fw::gelu>({{0, 0, .5},
                           {1, .8413447460685429485852, 1.083315470587686298383},
                           {-1, -.1586552539314570514148, -.08331547058768629838306},
                           {3, 2.99595030590510971642, 1.011945647204183927},
                           {-8, -4.976768459417427298813e-15, -3.979607261086795989125e-14}});
}

TEST_CASE("gelu_tanh is GPT-2's formula, and its negative tail keeps the digits that the sigmoid's argument has") {
  check_numbers<fw::gelu_tanh>({{0, 0, .5},
                                {1, .841191990608276704782, 1.08296408384578255514},
                                {-1, -.158808009391723295218, -.08296408384578255513964},
                                {3, 2.996362607918226981162, 1.011584166630969726204},
                                {-5, -2.291796196629506045593e-7, -1.546361987532594595585e-6}});
  double worst = 0, from_gelu = 0;
  for (float x = -9; x < 9; x += 0x1p-10f) {
    if (x == 0) continue;
    const double at = x, argument = at * (1.5957691216057308 + 0.07135481627260025 * at * at);
    const double exact = at / (1 + std::exp(-argument));
    const double error = std::abs(laws::value_and_slope<float>(fw::gelu_tanh{}, x).first / exact - 1);
    worst = std::max(worst, error / std::numeric_limits<float>::epsilon() / (2 + 2 * std::abs(argument)));
    from_gelu = std::max(from_gelu, std::abs(exact - laws::value_and_slope<double>(fw::gelu{}, at).first));
  }
  CAPTURE(worst, from_gelu);
  CHECK(worst <= 1);
  CHECK(from_gelu <= 5e-4);
}

TEST_CASE("silu is x over 1 + exp(-x)") {
  check_numbers<fw::silu>({{0, 0, .5},
                           {1, .7310585786300048792512, .9276705118714867317886},
                           {-1, -.2689414213699951207488, .07232948812851326821142},
                           {-20, -4.122307236380407162862e-8, -3.916191866064678329162e-8}});
}

TEST_CASE("relu2 is the square of the positive part, with slope 0 at 0") {
  check_numbers<fw::relu2>({{0, 0, 0}, {-3, 0, 0}, {1.5, 2.25, 3}, {1e-3, 1e-6, 2e-3}});
}
