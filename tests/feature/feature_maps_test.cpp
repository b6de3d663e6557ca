// SPDX-License-Identifier: MIT
#include <formwork/attention/feature_check.hpp>
#include <formwork/attention/linear_attention.hpp>
#include <formwork/feature.hpp>
#include <formwork/io/checkpoint.hpp>
#include <formwork/layer/builder.hpp>

#include <cmath>
#include <vector>

#include "io/scratch_folder.hpp"
#include "laws/feature_laws.hpp"
#include "support/catch.hpp"

namespace fw = formwork;
using fw::Index;
using fw::side;

namespace {

/// A user's own map of rows: [x² + 1, e^(x/2)], of more features than numbers.
struct pairs_of_squares {
  using plugs_into = fw::slot::feature;
  static constexpr fw::turned turns = fw::turned::inputs;
  double gradient_factor = 1;  // other than 1: a wrong gradient
  double negative = 0;         // other than 0: a map with negative weights

  Index width(Index key_width) const { return 2 * key_width; }
  template <class S>
  void forward(fw::view<S> y, fw::view<const S> x, side) const {
    for (Index i = 0; i < x.rows(); ++i)
      for (Index j = 0; j < x.cols(); ++j) {
        y(i, j) = x(i, j) * x(i, j) + 1 - S(negative);
        y(i, x.cols() + j) = std::exp(x(i, j) / 2);
      }
  }
  template <class S>
  void backward(fw::view<S> dx, fw::view<S> dy, fw::view<const S> y, fw::view<const S> x, side) const {
    for (Index i = 0; i < x.rows(); ++i)
      for (Index j = 0; j < x.cols(); ++j)
        dx(i, j) = S(gradient_factor) * (2 * x(i, j) * dy(i, j) + y(i, x.cols() + j) / 2 * dy(i, x.cols() + j));
  }
};
static_assert(fw::feature_policy<pairs_of_squares>);

/// Features that depend on more than their own row: not a map of rows.
struct counts_its_calls : pairs_of_squares {
  template <class S>
  void forward(fw::view<S> y, fw::view<const S> x, side of) const {
    pairs_of_squares::forward(y, x, of);
    for (Index i = 0; i < x.rows(); ++i) y(i, 0) += static_cast<S>(x.rows());
  }
};

template <class S>
fw::favor<S> made_favor(Index key_width, Index features, std::uint64_t seed) {
  fw::rng random{seed};
  return fw::favor<S>::make(fw::builder{.sizes = {.width = key_width, .heads = 1}, .random = random}, {.features = features});
}

/// φ(x) of one row.
template <class S, class Feature>
std::vector<S> features_of(const Feature& feature, const std::vector<S>& x, side of) {
  const auto d = static_cast<Index>(x.size());
  const auto map = fw::prepared<S>(feature, d);
  std::vector<S> y(static_cast<std::size_t>(map.width(d)));
  map.forward(fw::view<S>(y.data(), 1, map.width(d), map.width(d)), fw::view<const S>(x.data(), 1, d, d), of);
  return y;
}
template <class Feature>
double weight(const Feature& feature, const std::vector<double>& q, const std::vector<double>& k) {
  const auto a = features_of(feature, q, side::queries), b = features_of(feature, k, side::keys);
  return fw::dot(a.data(), b.data(), static_cast<Index>(a.size()));
}
/// q and k times the root of √d, so that the score is q · k.
std::vector<double> unscaled(std::vector<double> x) {
  const double up = std::pow(static_cast<double>(x.size()), 0.25);
  for (double& number : x) number *= up;
  return x;
}
std::vector<double> normal(Index n, double spread, fw::rng& random) {
  std::vector<double> x(static_cast<std::size_t>(n));
  for (double& number : x) number = spread * random.normal();
  return x;
}

template <class Feature>
void check_map(const Feature& feature, fw::feature_check_options options = {}) {
  for (const Index width : {6, 17}) {
    options.key_width = width;
    const auto report = fw::check_feature(feature, options);
    INFO(report);
    CHECK(report);
  }
}

/// float against double, in rounding errors of the largest feature.
template <class Narrow, class Wide>
double error_in_eps(const Narrow& narrow, const Wide& wide, Index d) {
  fw::rng random{3};
  double worst = 0;
  for (int trial = 0; trial < 50; ++trial)
    for (const side of : {side::queries, side::keys}) {
      const auto x = normal(d, 1, random);
      const std::vector<float> short_x(x.begin(), x.end());
      const auto exact = features_of(wide, std::vector<double>(short_x.begin(), short_x.end()), of);
      const auto ours = features_of(narrow, short_x, of);
      double largest = 0, error = 0;
      for (std::size_t f = 0; f < exact.size(); ++f) {
        largest = std::max(largest, std::abs(exact[f]));
        error = std::max(error, std::abs(exact[f] - static_cast<double>(ours[f])));
      }
      worst = std::max(worst, error / largest / double(std::numeric_limits<float>::epsilon()));
    }
  return worst;
}

}  // namespace

TEST_CASE("every feature map is a weighted mean in its full, causal and incremental forms, with the gradients of it") {
  check_map(fw::elu_plus_one{}, {.gradients = {.step = 2e-5, .every_up_to = 56, .sample = 56}});  // its slope has a corner
  check_map(fw::exponential{});
  check_map(fw::one_plus_cos{});
  check_map(fw::efficient{});
  check_map(fw::taylor_map{});
  check_map(fw::limit_map{});
  CHECK(check_feature(fw::taylor_map{.order = 4}));
  CHECK(check_feature(fw::limit_map{.order = 4}));
  for (const Index width : {6, 17}) CHECK(fw::check_feature(made_favor<double>(width, 32, 5), {.key_width = width}));
}

TEST_CASE("a user's own map is held to the same, and what is wrong with it is found") {
  check_map(laws::softplus_feature{});
  check_map(pairs_of_squares{});
  CHECK_FALSE(fw::check_feature(pairs_of_squares{.gradient_factor = 1.0001}).gradient);
  CHECK(fw::check_feature(pairs_of_squares{.negative = 2}).lowest < 0);
  const auto report = fw::check_feature(counts_its_calls{});
  CHECK(report.different_rows > 0);
  CHECK_FALSE(report);
}

TEST_CASE("one_plus_cos: a key's weight is 1 + cos; a row of zeros weighs every key alike") {
  CHECK(weight(fw::one_plus_cos{}, {3, 4}, {4, 3}) == Approx(1 + 24.0 / 25).epsilon(1e-15));
  CHECK(weight(fw::one_plus_cos{}, {1, 2, 3}, {-2, -4, -6}) == Approx(0).margin(1e-15));
  CHECK(weight(fw::one_plus_cos{}, {0, 0}, {5, 1}) == 1);
  CHECK(weight(fw::one_plus_cos{}, {1e-310, 0}, {5, 1}) == 1);
  CHECK(weight(fw::one_plus_cos{}, {1e150, 0}, {1e-150, 0}) == 2);
}

TEST_CASE("the worked numbers of 1 + cos and of efficient attention") {
  const auto filled = [](Index cols, const std::vector<double>& numbers) {
    fw::matrix<double> m(3, cols);
    std::copy(numbers.begin(), numbers.end(), m.data());
    return m;
  };
  const auto q = filled(3, {1, 0, 2, 0, 1, -1, -1, .5, 0}), v = filled(2, {1, 2, 3, 4, 5, 6});
  auto k = filled(3, {1, 1, 0, 0, 2, 1, 1, -1, 1}), out = filled(2, {});
  const fw::sequences batch{3};
  const fw::head_shape shape{1, 1, 3, 2};
  const auto check = [&](const std::vector<double>& expected) {
    for (Index i = 0; i < 6; ++i) CHECK(out.data()[i] == Approx(expected[static_cast<std::size_t>(i)]).epsilon(1e-8));
  };
  fw::linear_attend_forward<double>(out, {}, q, k, v, batch, shape,
                                    fw::linear_attend_policies<fw::key_sums::full, fw::one_plus_cos>{});
  check({3.20413575, 4.20413575, 2.12225696, 3.12225696, 2.60300212, 3.60300212});
  fw::efficient{}.over_sequences(k.all(), 1, batch);
  for (Index j = 0; j < 3; ++j) CHECK(k(0, j) + k(1, j) + k(2, j) == Approx(1).epsilon(1e-15));
  fw::matrix<double> kept(3, 1);
  fw::linear_attend_forward<double>(out, kept, q, k, v, batch, shape,
                                    fw::linear_attend_policies<fw::key_sums::full, fw::efficient>{});
  check({3.314779, 4.314779, 2.74953836, 3.74953836, 2.93172484, 3.93172484});
  for (Index i = 0; i < 3; ++i) CHECK(kept(i, 0) == Approx(1).epsilon(1e-15));  // rows sum to 1 without a denominator
}

TEST_CASE("exponential is the causal relative of efficient attention: a query's normalisation cancels") {
  fw::rng random{2};
  const auto q = normal(5, 1, random), k1 = normal(5, 1, random), k2 = normal(5, 1, random);
  const auto with = [&](auto q_feature, const std::vector<double>& k) {
    double sum = 0;
    for (std::size_t f = 0; f < 5; ++f) sum += q_feature[f] * std::exp(k[f]);
    return sum;
  };
  const auto soft = features_of(fw::efficient{}, q, side::queries);
  std::vector<double> plain;
  for (const double x : q) plain.push_back(std::exp(x));
  CHECK(with(soft, k1) / with(soft, k2) == Approx(with(plain, k1) / with(plain, k2)).epsilon(1e-14));
}

TEST_CASE("Taylor and limit maps: published numbers, the polynomial they stand for, their sizes") {
  const auto q = unscaled({.5, -1}), k = unscaled({1, .25});
  CHECK(weight(fw::taylor_map{.order = 2}, q, k) == Approx(1.28125).epsilon(1e-9));
  CHECK(weight(fw::taylor_map{.order = 4}, q, k) == Approx(1.28401693).epsilon(1e-8));
  CHECK(weight(fw::limit_map{.order = 2}, q, k) == Approx(1.265625).epsilon(1e-9));
  CHECK(weight(fw::limit_map{.order = 4}, q, k) == Approx(1.27442932).epsilon(1e-8));

  fw::rng random{4};
  for (const Index d : {1, 3, 8, 17})
    for (const Index order : {2, 4, 6}) {
      if (d == 17 && order == 6) continue;
      CHECK(fw::taylor_map{.order = order}.width(d) == static_cast<Index>(fw::binomial(d + order, order)));
      const auto a = normal(d, 1, random), b = normal(d, 1, random);
      const double s = fw::dot(a.data(), b.data(), d) / std::sqrt(static_cast<double>(d));
      double taylor = 0, term = 1;
      for (Index m = 0; m <= order; ++m, term *= s / static_cast<double>(m)) taylor += term;
      // the sum of |terms| is what rounding is relative to
      double size = 0, absolute = 1;
      for (Index m = 0; m <= order; ++m, absolute *= std::abs(s) / static_cast<double>(m)) size += absolute;
      CAPTURE(d, order, s);
      CHECK(std::abs(weight(fw::taylor_map{.order = order}, a, b) - taylor) <= 1e-12 * (size + std::exp(std::abs(s))));
      CHECK(std::abs(weight(fw::limit_map{.order = order}, a, b) - std::pow(1 + s / double(order), double(order))) <=
            1e-12 * std::exp(std::abs(s)) + 1e-12 * size);
    }
  CHECK(fw::taylor_map{.order = 2}.width(2) == 6);   // of the 7 products of the article two are the same
  CHECK(fw::taylor_map{.order = 4}.width(2) == 15);  // of 31
  CHECK(fw::limit_map{.order = 4}.width(2) == 15);   // of 81
}

TEST_CASE("maps of even order have no negative weight wherever the score is; odd orders are refused") {
  for (const Index order : {2, 4, 6})
    for (double s = -40; s <= 40; s += 0.37) {
      CAPTURE(order, s);
      CHECK(weight(fw::taylor_map{.order = order}, unscaled({s}), unscaled({1})) > 0);
      CHECK(weight(fw::limit_map{.order = order}, unscaled({s}), unscaled({1})) >= -1e-9);
    }
  CHECK_THROWS_WITH(fw::taylor_map{.order = 3}.width(4), ContainsSubstring("taylor_map: order is 3; needs an even one"));
  CHECK_THROWS_WITH(fw::limit_map{.order = 0}.width(4), ContainsSubstring("limit_map: order is 0; needs an even one"));
  CHECK_THROWS_WITH(fw::taylor_map{.order = 8}.width(64), ContainsSubstring("needs a lower order or narrower keys"));
  for (double x = -1; x <= 1; x += 0.01) {
    const auto error = [&](Index order) { return std::abs(weight(fw::taylor_map{.order = order}, {x}, {1}) / std::exp(x) - 1); };
    CHECK(error(2) <= 0.36);
    CHECK(error(4) <= 0.020);
    CHECK(error(6) <= 4.9e-4);
  }
}

TEST_CASE("favor: directions of a block are orthogonal, frozen, of the builder's seed") {
  const auto feature = made_favor<double>(12, 32, 7);
  const auto w = feature.directions.value();
  CHECK(feature.directions.frozen());
  double lengths = 0;
  for (Index f = 0; f < 32; ++f)
    for (Index g = 0; g < 32; ++g) {
      double product = 0;
      for (Index i = 0; i < 12; ++i) product += w(i, f) * w(i, g);
      if (f == g) lengths += product;
      if (f != g && f / 12 == g / 12) CHECK(std::abs(product) <= 1e-12);
    }
  CHECK(std::abs(lengths / 32 - 12) < 4 * std::sqrt(2 * 12.0 / 32));  // χ²_12: mean 12, variance 24
  CHECK(made_favor<double>(12, 32, 7).directions.value()(3, 5) == w(3, 5));
  CHECK(made_favor<double>(12, 32, 8).directions.value()(3, 5) != w(3, 5));
  CHECK(made_favor<double>(12, 0, 8).directions.cols() == 48);
  CHECK_THROWS_WITH(made_favor<double>(12, 20, 8), ContainsSubstring("favor: features is 20; needs a multiple of 16"));
}

TEST_CASE("favor: directions come back from a file with the rest of the model") {
  const auto made = [](std::uint64_t seed) {
    fw::rng random{seed};
    return fw::linear_attention<float, fw::causal, fw::favor<float>>::make(
        fw::builder{.sizes = {.width = 16, .heads = 2}, .random = random});
  };
  const scratch_folder folder;
  const auto saved = made(1);
  auto loaded = made(2);
  fw::save_model(folder.path("model.safetensors"), saved);
  fw::load_model(folder.path("model.safetensors"), loaded);
  CHECK(loaded.feature.directions.frozen());
  fw::tape<float> quiet{fw::recording::off};
  fw::matrix<float> x(9, 16);
  fw::rng{3}.fill_normal(x, 1);
  const auto a = saved(quiet.constant(fw::matrix<float>(x))), b = loaded(quiet.constant(fw::matrix<float>(x)));
  for (Index i = 0; i < 9; ++i) CHECK(std::equal(a.value().row(i), a.value().row(i) + 16, b.value().row(i)));
}

TEST_CASE("favor: the estimate is unbiased within four deviations of its exact variance, which orthogonality lowers") {
  const std::vector<double> q = unscaled({.5, -.3, .2, .1}), k = unscaled({.4, .3, -.2, .6});
  double score = 0, both = 0;
  const double down = 1 / std::sqrt(4.0);
  for (std::size_t i = 0; i < 4; ++i) score += q[i] * k[i] * down, both += (q[i] + k[i]) * (q[i] + k[i]) * down;
  constexpr int draws = 2000;
  constexpr Index m = 16;
  double sum = 0, squares = 0;
  for (int n = 0; n < draws; ++n) {
    const auto feature = made_favor<double>(4, m, static_cast<std::uint64_t>(n));
    double estimate = 0;
    for (Index f = 0; f < m; ++f) {
      double along = 0, size = 0;
      for (std::size_t i = 0; i < 4; ++i) {
        along += feature.directions.value()(Index(i), f) * (q[i] + k[i]) * std::sqrt(down);
        size += (q[i] * q[i] + k[i] * k[i]) * down / 2;
      }
      estimate += std::exp(along - size) / m;
    }
    sum += estimate, squares += estimate * estimate;
  }
  const double mean = sum / draws, independent = std::exp(2 * score) * (std::exp(both) - 1) / m;
  CHECK(std::abs(mean - std::exp(score)) <= 4 * std::sqrt(independent / draws));
  CHECK(squares / draws - mean * mean < independent);
}

TEST_CASE("favor: what is subtracted cancels, and large keys and queries neither overflow nor vanish") {
  fw::rng random{6};
  const auto feature = made_favor<double>(8, 32, 9);
  const auto w = feature.directions.value();
  const double scale = std::pow(8.0, -0.25);
  const auto plainly = [&](const std::vector<double>& x, Index f) {
    double along = 0, square = 0;
    for (std::size_t i = 0; i < 8; ++i) along += scale * x[i] * w(Index(i), f), square += scale * scale * x[i] * x[i];
    return std::exp(along - square / 2);
  };
  for (int trial = 0; trial < 20; ++trial) {
    const auto q = normal(8, 1, random), k1 = normal(8, 1, random), k2 = normal(8, 1, random);
    double first = 0, second = 0;
    for (Index f = 0; f < 32; ++f) first += plainly(q, f) * plainly(k1, f), second += plainly(q, f) * plainly(k2, f);
    CHECK(weight(feature, q, k1) / weight(feature, q, k2) == Approx(first / second).epsilon(1e-12));
  }
  for (const Index d : {8, 64, 128}) {
    const auto narrow = made_favor<float>(d, 4 * d, 9);
    for (const float size : {0.01f, 1.0f, 3.0f}) {
      std::vector<float> x(static_cast<std::size_t>(d));
      for (float& number : x) number = size * static_cast<float>(random.normal());
      const auto of_key = features_of(narrow, x, side::keys), of_query = features_of(narrow, x, side::queries);
      CAPTURE(d, size);
      CHECK(*std::max_element(of_query.begin(), of_query.end()) == Approx(1).epsilon(1e-5));
      const float most = *std::max_element(of_key.begin(), of_key.end());
      CHECK(most > 1e-30f);
      CHECK(most < 1.2e26f);  // e^60
    }
  }
}

TEST_CASE("row maps in float are within a few roundings of double") {
  CHECK(error_in_eps(fw::one_plus_cos{}, fw::one_plus_cos{}, 20) <= 2);
  CHECK(error_in_eps(fw::efficient{}, fw::efficient{}, 20) <= 4);
  CHECK(error_in_eps(fw::taylor_map{.order = 4}, fw::taylor_map{.order = 4}, 10) <= 8);
  CHECK(error_in_eps(fw::limit_map{.order = 4}, fw::limit_map{.order = 4}, 10) <= 8);
}
