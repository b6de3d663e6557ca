// SPDX-License-Identifier: MIT
#include <formwork/kernel/normalize.hpp>

#include "kernel/sweep.hpp"

using namespace checks;

namespace {

enum class form { rms, layer, layer_without_bias };
const form forms[] = {form::rms, form::layer, form::layer_without_bias};

double epsilon_of(form f) { return f == form::rms ? 1e-6 : 1e-5; }

template <class S>
struct inputs {
  fw::matrix<S> x, residual, gain, bias, dy, dsum;
};

template <class S>
inputs<S> make(Index rows, Index width, std::uint64_t seed) {
  numbers r(seed);
  return {r.matrix<S>(rows, width, 1.5, 0.7), r.matrix<S>(rows, width), r.matrix<S>(1, width, 0.3, 1), r.matrix<S>(1, width),
          r.matrix<S>(rows, width),           r.matrix<S>(rows, width)};
}

template <class T, class S>
inputs<T> as(const inputs<S>& in) {
  return {checks::as<T>(in.x),    checks::as<T>(in.residual), checks::as<T>(in.gain),
          checks::as<T>(in.bias), checks::as<T>(in.dy),       checks::as<T>(in.dsum)};
}

template <class S>
struct results {
  fw::matrix<S> sum, y, dx, dgain, dbias;
};

/// The definitions, summed in order.
template <class S>
results<S> naive(form f, const inputs<S>& in, double epsilon, fw::start how = fw::start::fresh, S old = 0) {
  const Index rows = in.x.rows(), n = in.x.cols();
  const S start = how == fw::start::continued ? old : S(0);
  results<S> r{in.x, in.x, in.x, fw::matrix<S>(1, n, start), fw::matrix<S>(1, n, start)};
  for (Index i = 0; i < rows; ++i) {
    S mean = 0, square = 0, mean_g = 0, mean_gx = 0;
    for (Index j = 0; j < n; ++j) r.sum(i, j) = in.x(i, j) + in.residual(i, j);
    if (f != form::rms) {
      for (Index j = 0; j < n; ++j) mean += r.sum(i, j);
      mean /= S(n);
    }
    for (Index j = 0; j < n; ++j) square += (r.sum(i, j) - mean) * (r.sum(i, j) - mean);
    const S inverse = 1 / std::sqrt(square / S(n) + S(epsilon));
    for (Index j = 0; j < n; ++j) {
      const S normal = (r.sum(i, j) - mean) * inverse;
      r.y(i, j) = normal * in.gain(0, j) + (f == form::layer ? in.bias(0, j) : S(0));
      mean_g += in.dy(i, j) * in.gain(0, j);
      mean_gx += in.dy(i, j) * in.gain(0, j) * normal;
      r.dgain(0, j) += in.dy(i, j) * normal;
      r.dbias(0, j) += in.dy(i, j);
    }
    mean_g = f == form::rms ? S(0) : mean_g / S(n);
    mean_gx /= S(n);
    for (Index j = 0; j < n; ++j) {
      const S normal = (r.sum(i, j) - mean) * inverse;
      r.dx(i, j) = in.dsum(i, j) + inverse * (in.dy(i, j) * in.gain(0, j) - mean_g - normal * mean_gx) + start;
    }
  }
  return r;
}

template <class S>
results<S> ours(form f, const inputs<S>& in, double epsilon, fw::start how = fw::start::fresh, S old = 0,
                places at = {}) {
  const Index rows = in.x.rows(), n = in.x.cols();
  const S garbage = how == fw::start::fresh ? std::numeric_limits<S>::quiet_NaN() : old;
  auto x = at(in.x), residual = at(in.residual), gain = at(in.gain), bias = at(in.bias), dy = at(in.dy),
       dsum = at(in.dsum);
  auto sum = at.template output<S>(rows, n), y = at.template output<S>(rows, n),
       dx = at(fw::matrix<S>(rows, n, garbage));
  auto dgain = at(fw::matrix<S>(1, n, garbage)), dbias = at(fw::matrix<S>(1, n, garbage));
  auto mean = at.template output<S>(1, rows), inverse = at.template output<S>(1, rows);
  if (f == form::rms) {
    fw::add_rms_norm_forward<S>(sum, y, inverse.data(), x, residual, gain.data(), epsilon);
    fw::add_rms_norm_backward<S>(dx, dgain.data(), dy, dsum, sum, inverse.data(), gain.data(), how, how);
  } else {
    fw::add_layer_norm_forward<S>(sum, y, mean.data(), inverse.data(), x, residual, gain.data(),
                                  f == form::layer ? bias.data() : nullptr, epsilon);
    fw::add_layer_norm_backward<S>(dx, dgain.data(), dbias.data(), dy, dsum, sum, mean.data(), inverse.data(),
                                   gain.data(), how, how, how);
  }
  return {sum.copy(), y.copy(), dx.copy(), dgain.copy(), dbias.copy()};
}

template <class S>
void accuracy(form f, const inputs<S>& in, fw::start how) {
  const S old = 3;
  const auto a = ours(f, in, epsilon_of(f), how, old), b = naive(f, in, epsilon_of(f), how, old);
  const auto c = naive(f, as<double>(in), epsilon_of(f), how, double(old));
  CAPTURE(int(f), int(how));
  check_accuracy("sum", a.sum, b.sum, c.sum, 2);
  check_accuracy("y", a.y, b.y, c.y, 2);
  check_accuracy("dx", a.dx, b.dx, c.dx, 3);
  check_accuracy("dgain", a.dgain, b.dgain, c.dgain, 3);
  if (f != form::rms) check_accuracy("dbias", a.dbias, b.dbias, c.dbias, 3);
}

void random_case(trial& t) {
  const form f = t.any({form::rms, form::layer, form::layer_without_bias});
  const auto how = t.any({fw::start::fresh, fw::start::continued});
  const Index width = t.size(2000), rows = t.size(200'000 / width, 0);
  const auto in = make<float>(rows, width, t.seed());
  const auto wide = as<double>(in);
  const auto a = ours(f, in, epsilon_of(f), how, 3.0f, t.anywhere()), b = naive(f, in, epsilon_of(f), how, 3.0f);
  const auto c = naive(f, wide, epsilon_of(f), how, 3.0), d = ours(f, wide, epsilon_of(f), how, 3.0, t.anywhere());
  t.accurate("sum", a.sum, b.sum, c.sum, 2), t.accurate("sum", d.sum, c.sum);
  t.accurate("y", a.y, b.y, c.y, 2), t.accurate("y", d.y, c.y);
  t.accurate("dx", a.dx, b.dx, c.dx, 3), t.accurate("dx", d.dx, c.dx);
  t.accurate("dgain", a.dgain, b.dgain, c.dgain, 3), t.accurate("dgain", d.dgain, c.dgain);
  if (f == form::rms) return;
  t.accurate("dbias", a.dbias, b.dbias, c.dbias, 3), t.accurate("dbias", d.dbias, c.dbias);
}

}  // namespace

TEST_CASE("normalize gives the published numbers of one row") {
  fw::matrix<double> x(1, 4), g(1, 4), gain(1, 4, 1.0), y(1, 4), dx(1, 4);
  double mean = 0, inverse = 0;
  for (Index j = 0; j < 4; ++j) x(0, j) = std::array{1, 2, 3, 6}[std::size_t(j)], g(0, j) = std::array{1, 0, -1, 2}[std::size_t(j)];
  const auto near = [](const fw::matrix<double>& m, std::array<double, 4> published) {
    for (Index j = 0; j < 4; ++j) CHECK(std::abs(m(0, j) - published[std::size_t(j)]) <= 6e-9);
  };
  fw::rms_norm_forward<double>(y, &inverse, x, gain.data(), 0);
  near(y, {.28284271, .56568542, .84852814, 1.69705627});
  CHECK(std::abs(1 / inverse - 3.53553391) <= 6e-9);
  fw::rms_norm_backward<double>(dx, nullptr, g, x, &inverse, gain.data());
  near(dx, {.22627417, -.11313708, -.45254834, .22627417});
  fw::layer_norm_forward<double>(y, &mean, &inverse, x, gain.data(), nullptr, 0);
  near(y, {-1.06904497, -.53452248, 0, 1.60356745});
  fw::layer_norm_backward<double>(dx, nullptr, nullptr, g, x, &mean, &inverse, gain.data());
  near(dx, {.57270266, -.11454053, -.80178373, .34362160});
}

TEMPLATE_TEST_CASE("normalize is as accurate as a naive loop at every width around the lanes", "", float, double) {
  for (const form f : forms)
    for (const Index width : {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 127, 129, 768, 1001})
      for (const auto how : {fw::start::fresh, fw::start::continued})
        accuracy<TestType>(f, make<TestType>(width < 20 ? 35 : 7, width, std::uint64_t(width)), how);
  for (const Index rows : {1, 3, 4, 31, 32, 33, 300}) accuracy<TestType>(form::layer, make<TestType>(rows, 20, 7), fw::start::fresh);
}

TEST_CASE("normalize is as accurate as the rule asks over random shapes") { sweep(few_cases, random_case); }
TEST_CASE("normalize is as accurate as the rule asks over 2000 random shapes", "[.slow]") {
  sweep(many_cases, random_case);
}

TEST_CASE("normalize's gradients are central differences") {
  for (const form f : forms)
    for (const auto& [rows, width] : std::vector<std::pair<Index, Index>>{{3, 11}, {35, 2}}) {
      auto in = make<double>(rows, width, 11);
      const auto objective = [&] {
        const auto r = ours(f, in, epsilon_of(f));
        double total = 0;
        for (Index i = 0; i < r.y.size(); ++i)
          total += r.y.data()[i] * in.dy.data()[i] + r.sum.data()[i] * in.dsum.data()[i];
        return total;
      };
      const auto g = ours(f, in, epsilon_of(f));
      CAPTURE(int(f), rows);
      check_gradient("x", in.x, g.dx, objective);
      check_gradient("residual", in.residual, g.dx, objective);
      check_gradient("gain", in.gain, g.dgain, objective);
      if (f == form::layer) check_gradient("bias", in.bias, g.dbias, objective);
    }
}

TEST_CASE("normalize: gradients sum to zero and are orthogonal to the normal rows; layer norm is rms norm of centred rows") {
  auto in = make<double>(5, 37, 12);
  in.residual.fill(0), in.dsum.fill(0), in.gain.fill(1), in.bias.fill(0);
  for (const form f : forms) {
    const auto r = ours(f, in, 0);
    for (Index i = 0; i < 5; ++i) {
      double sum = 0, along = 0;
      for (Index j = 0; j < 37; ++j) sum += r.dx(i, j), along += r.dx(i, j) * r.y(i, j);
      CHECK(std::abs(along) <= 1e-13);
      if (f != form::rms) CHECK(std::abs(sum) <= 1e-13);
    }
  }
  const auto layer = ours(form::layer, in, 0);
  for (Index i = 0; i < 5; ++i) {
    double mean = 0;
    for (Index j = 0; j < 37; ++j) mean += in.x(i, j) / 37;
    for (Index j = 0; j < 37; ++j) in.x(i, j) -= mean;
  }
  CHECK(largest_error(ours(form::rms, in, 0).y, layer.y) <= 1e-14);
}

TEMPLATE_TEST_CASE("normalize without a residual has the bits of a residual of zeros", "", float, double) {
  using S = TestType;
  auto in = make<S>(37, 45, 13);
  in.residual.fill(0), in.dsum.fill(0);
  const auto with = ours(form::layer, in, 1e-5), rms = ours(form::rms, in, 1e-6);
  fw::matrix<S> y(37, 45), dx(37, 45), mean(37, 1), inverse(37, 1), dgain(1, 45), dbias(1, 45);
  fw::layer_norm_forward<S>(y, mean.data(), inverse.data(), in.x, in.gain.data(), in.bias.data(), 1e-5);
  fw::layer_norm_backward<S>(dx, dgain.data(), dbias.data(), in.dy, in.x, mean.data(), inverse.data(), in.gain.data());
  CHECK(same_bits(y, with.y));
  CHECK(largest_error(dx, with.dx) == 0);
  CHECK(same_bits(dgain, with.dgain));
  CHECK(same_bits(dbias, with.dbias));
  fw::rms_norm_forward<S>(y, inverse.data(), in.x, in.gain.data(), 1e-6);
  fw::rms_norm_backward<S>(dx, nullptr, in.dy, in.x, inverse.data(), in.gain.data());
  CHECK(same_bits(y, rms.y));
  CHECK(largest_error(dx, rms.dx) == 0);
}

TEMPLATE_TEST_CASE("normalize: bits do not depend on threads, batch, alignment, or on working in place", "", float, double) {
  using S = TestType;
  for (const form f : forms) {
    const auto in = make<S>(131, 70, 14);
    const auto all = ours(f, in, 1e-5);
    check_threads("y", [&] { return ours(f, in, 1e-5).y; });
    check_threads("dx", [&] { return ours(f, in, 1e-5).dx; });
    check_threads("dgain", [&] { return ours(f, in, 1e-5).dgain; });
    for (const Index i : {0, 1, 64, 130}) {
      const auto row = [i](const fw::matrix<S>& m) { return fw::matrix<S>(m.rows(i, 1)); };
      const auto alone = ours<S>(f, {row(in.x), row(in.residual), in.gain, in.bias, row(in.dy), row(in.dsum)}, 1e-5);
      CHECK(same_bits(alone.y, row(all.y)));
      CHECK(same_bits(alone.dx, row(all.dx)));
    }
  }
  const auto in = make<S>(33, 45, 15);
  fw::matrix<S> y(33, 45), dx(33, 45), mean(33, 1), inverse(33, 1), dgain(1, 45), dbias(1, 45);
  fw::layer_norm_forward<S>(y, mean.data(), inverse.data(), in.x, in.gain.data(), in.bias.data(), 1e-5);
  fw::layer_norm_backward<S>(dx, dgain.data(), dbias.data(), in.dy, in.x, mean.data(), inverse.data(), in.gain.data());
  for (Index offset = 0; offset < 16; ++offset) {
    shifted<S> x(in.x, offset, 3), out(y, (offset * 7) % 16, 1), gain(in.gain, 15 - offset), bias(in.bias, offset / 2),
        dy(in.dy, (offset * 5) % 16), gain_gradient(dgain, offset), bias_gradient(dbias, 3);
    fw::matrix<S> mean_here(33, 1), inverse_here(33, 1);
    fw::layer_norm_forward<S>(out.view(), mean_here.data(), inverse_here.data(), x.view(), gain.view().data(), bias.view().data(), 1e-5);
    CHECK(same_bits(out.copy(), y));
    fw::layer_norm_backward<S>(dy.view(), gain_gradient.view().data(), bias_gradient.view().data(), dy.view(), x.view(),
                               mean_here.data(), inverse_here.data(), gain.view().data());  // dx in place of dy
    CHECK(same_bits(dy.copy(), dx));
    CHECK(same_bits(gain_gradient.copy(), dgain));
    CHECK(same_bits(bias_gradient.copy(), dbias));
  }
}

TEST_CASE("normalize: no rows and no columns are fine") {
  fw::matrix<float> none(0, 5), narrow(3, 0), gain(1, 5, 1.0f), dgain(1, 5, 9.0f), inverse(3, 1);
  fw::rms_norm_forward<float>(none, nullptr, none, gain.data(), 1e-6);
  fw::rms_norm_backward<float>(none, dgain.data(), none, none, inverse.data(), gain.data(), fw::start::fresh, fw::start::fresh);
  CHECK(dgain(0, 4) == 0.0f);
  fw::rms_norm_forward<float>(narrow, inverse.data(), narrow, nullptr, 1e-6);
  CHECK_NOTHROW(fw::layer_norm_forward<float>(narrow, nullptr, nullptr, narrow, nullptr, nullptr, 1e-6));
}
