// SPDX-License-Identifier: MIT
#include <formwork/core/math.hpp>
#include <formwork/core/parallel.hpp>

#include "support/catch.hpp"

#include <atomic>
#include <cstring>
#include <random>
#include <vector>

namespace fw = formwork;

namespace {

/// |got - want| in units in the last place of `want`. Where the exact result is not a normal number the functions promise
/// less: overflow must be infinite, and the error of a subnormal result is reported in steps of the smallest number.
struct distance {
  double ulp = 0, subnormal_steps = 0;
};
template <class S, class Reference>
distance between(S got, Reference want) {
  using limits = std::numeric_limits<S>;
  if (std::isnan(want)) return {std::isnan(got) ? 0.0 : 1e30, 0};
  const Reference magnitude = std::abs(want);
  const Reference overflow = Reference(limits::max()) * (1 + Reference(limits::epsilon()) / 4);
  if (magnitude >= overflow) return {std::isinf(got) && std::signbit(got) == std::signbit(want) ? 0.0 : 1e30, 0};
  const auto error = double(std::abs(Reference(got) - want) / Reference(limits::denorm_min()));
  if (magnitude < Reference(limits::min())) return {0, error};
  int exponent = 0;
  std::frexp(magnitude, &exponent);
  return {double(std::abs(Reference(got) - want) / std::ldexp(Reference(1), exponent - limits::digits)), 0};
}

struct worst {
  double ulp = 0, at = 0, subnormal_steps = 0;
  template <class S, class Reference>
  void see(S x, S got, Reference want) {
    const distance d = between(got, want);
    subnormal_steps = std::max(subnormal_steps, d.subnormal_steps);
    if (!(d.ulp <= ulp)) ulp = d.ulp, at = double(x);
  }
  void join(const worst& other) {
    subnormal_steps = std::max(subnormal_steps, other.subnormal_steps);
    if (!(other.ulp <= ulp)) ulp = other.ulp, at = other.at;
  }
};

/// As between(), in a few instructions where the result is a normal float.
FORMWORK_INLINE bool quick_ulp(float got, double want, double& ulp) {
  const auto exponent = std::bit_cast<std::uint64_t>(want) >> 52 & 0x7ff;
  const double steps =
      std::bit_cast<double>((1023 + 1023 + 23 - exponent) << 52);  // 1 / (a unit in the last place of want)
  ulp = std::abs(double(got) - want) * steps;
  return exponent > 1023 - 127 && exponent < 1023 + 127;
}

/// Every `stride`-th float of all 2^32, against the same function in double; on all threads.
template <class F, class Reference>
worst over_floats(F f, Reference reference, std::uint64_t stride) {
  constexpr int L = fw::lanes<float>;
  constexpr std::uint64_t all = std::uint64_t(1) << 32;
  const std::uint64_t grain = (all / 1024 / stride / L + 1) * stride * L;  // a multiple of what a pack steps over
  std::vector<worst> part((all + grain - 1) / grain);
  fw::parallel_for(fw::Index(part.size()), [&](fw::Index chunk) {
    worst w;
    const std::uint64_t begin = std::uint64_t(chunk) * grain, end = std::min(all, begin + grain);
    for (std::uint64_t first = begin; first < end; first += stride * L) {
      float x[L], y[L];
      for (int l = 0; l < L; ++l) x[l] = std::bit_cast<float>(std::uint32_t(first + std::uint64_t(l) * stride));
      f(fw::pack<float>::load(x)).store(y);
      for (int l = 0; l < L; ++l) {
        const double want = reference(double(x[l]));
        double ulp = 0;
        if (!quick_ulp(y[l], want, ulp))
          w.see(x[l], y[l], want);
        else if (!(ulp <= w.ulp))
          w.ulp = ulp, w.at = double(x[l]);
      }
    }
    part[std::size_t(chunk)] = w;
  });
  worst w;
  for (const worst& p : part) w.join(p);
  return w;
}

/// Lanes that are alone have the bits of whole packs.
template <class F>
bool same_bits_over_floats(F f, std::uint64_t stride) {
  constexpr int L = fw::lanes<float>;
  std::atomic<bool> same = true;
  fw::parallel_for(1024, [&](fw::Index chunk) {
    bool equal = true;
    const std::uint64_t begin = std::uint64_t(chunk) << 22, end = begin + (std::uint64_t(1) << 22);
    for (std::uint64_t first = begin; first < end; first += stride * L) {
      float x[L], whole[L];
      for (int l = 0; l < L; ++l) x[l] = std::bit_cast<float>(std::uint32_t(first + std::uint64_t(l) * stride));
      f(fw::pack<float>::load(x)).store(whole);
      for (int l = 0; l < L; ++l) {
        const float alone = f(fw::pack<float, 1>(x[l])).value;
        equal = equal &&
                (std::bit_cast<std::uint32_t>(alone) == std::bit_cast<std::uint32_t>(whole[l]) || whole[l] != whole[l]);
      }
    }
    if (!equal) same = false;
  });
  return same;
}

/// Random doubles of an interval: a third uniform, the rest of all magnitudes, against long double.
template <class F, class Reference>
worst over_doubles(F f, Reference reference, double low, double high, int count) {
  constexpr int L = fw::lanes<double>;
  std::mt19937_64 bits(1);
  std::uniform_real_distribution<double> uniform(low, high), power(-60, 0);
  worst w;
  for (int i = 0; i < count; ++i) {
    double x[L], y[L];
    for (double& v : x) {
      v = uniform(bits);
      if (i % 3) v *= std::exp2(power(bits));
    }
    f(fw::pack<double>::load(x)).store(y);
    for (int l = 0; l < L; ++l) w.see(x[l], y[l], reference(static_cast<long double>(x[l])));
  }
  return w;
}

template <fw::real S, int N, class F>
void same_bits_as_whole_packs(F f) {
  std::mt19937 bits(3);
  constexpr int L = fw::lanes<S>;
  using word = std::conditional_t<sizeof(S) == 4, std::uint32_t, std::uint64_t>;
  std::uniform_real_distribution<double> moderate(-40, 40);
  bool same = true;
  for (int i = 0; i < 4000; ++i) {
    S x[L], whole[L], part[L];
    for (S& v : x) v = i % 2 ? S(moderate(bits)) : std::bit_cast<S>(word(std::uint64_t(bits()) << 32 | bits()));
    f(fw::pack<S>::load(x)).store(whole);
    for (int l = 0; l < L; l += N) f(fw::pack<S, N>::load(x + l)).store(part + l);
    for (int l = 0; l < L; ++l) same = same && (std::memcmp(&whole[l], &part[l], sizeof(S)) == 0 || whole[l] != whole[l]);
    const fw::Index count = 1 + i % L;
    f(fw::pack<S>::load(x, count)).store(part, count);
    for (fw::Index l = 0; l < count; ++l)
      same = same && (std::memcmp(&whole[l], &part[l], sizeof(S)) == 0 || whole[l] != whole[l]);
  }
  CHECK(same);
}

struct interval {
  double low, high;
};

/// The whole promise of one function.
template <class F, class Reference>
void promises(double ulp, F f, Reference reference, std::initializer_list<interval> intervals) {
  const worst all_floats = over_floats(f, reference, 509);
  CAPTURE(all_floats.at);
  CHECK(all_floats.ulp <= ulp);
  for (const auto [low, high] : intervals) {
    const worst doubles = over_doubles(f, reference, low, high, 100'000 / fw::lanes<double>);
    CAPTURE(low, high, doubles.at);
    CHECK(doubles.ulp <= ulp);
  }
  same_bits_as_whole_packs<float, 1>(f);
  same_bits_as_whole_packs<double, 1>(f);
  if constexpr (fw::lanes<float> > 4) same_bits_as_whole_packs<float, fw::lanes<float> / 2>(f);
  if constexpr (fw::lanes<double> > 2) same_bits_as_whole_packs<double, fw::lanes<double> / 2>(f);

  // a NaN of any payload stays a NaN and does not disturb its neighbours
  for (const std::uint32_t payload : {0x7fc00000u, 0xffc00000u, 0x7fc00001u, 0xffffffffu}) {
    float x[fw::lanes<float>] = {}, y[fw::lanes<float>], clean[fw::lanes<float>];
    f(fw::pack<float>::load(x)).store(clean);
    x[0] = std::bit_cast<float>(payload);
    f(fw::pack<float>::load(x)).store(y);
    CHECK(std::isnan(y[0]));
    for (int l = 1; l < fw::lanes<float>; ++l) CHECK(std::memcmp(&y[l], &clean[l], 4) == 0);
    CHECK(std::isnan(f(fw::pack<double, 1>(std::bit_cast<double>(0xfff8000000000001))).value));
  }
}

// The references, for double and long double.
const auto exp_of = [](auto x) { return std::exp(x); };
const auto exp2_of = [](auto x) { return std::exp2(x); };
const auto expm1_of = [](auto x) { return std::expm1(x); };
const auto log_of = [](auto x) { return std::log(x); };
const auto log1p_of = [](auto x) { return std::log1p(x); };
const auto tanh_of = [](auto x) { return std::tanh(x); };
const auto erf_of = [](auto x) { return std::erf(x); };
const auto erfc_of = [](auto x) { return std::erfc(x); };
const auto sigmoid_of = [](auto x) { return 1 / (1 + std::exp(-x)); };
const auto silu_of = [](auto x) { return x == -std::numeric_limits<decltype(x)>::infinity() ? 0 : x / (1 + std::exp(-x)); };
const auto softplus_of = [](auto x) { return std::isnan(x) ? x : std::fmax(x, 0) + std::log1p(std::exp(-std::abs(x))); };
/// x/2 erfc(-x/√2), with what x/√2 lost to rounding to first order.
const auto gelu_of = [](auto x) {
  using R = decltype(x);
  if (std::isinf(x)) return x > 0 ? x : R(0);
  const R root = R(0.70710678118654752440084436210484903928L);
  const R root_rest = sizeof(R) > 8 ? R(1.8950325588932570797e-20L) : R(-4.8336466567264567e-17L);
  const R z = -x * root, rest = -(std::fma(x, root, z) + x * root_rest);
  return x / 2 * (std::erfc(z) - (z > 0 ? R(1.1283791670955125739L) * std::exp(-z * z) * rest : R(0)));
};

#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
constexpr double exp_bound = 1;
#else
constexpr double exp_bound = 1.25;
#endif
constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr double double_infinity = std::numeric_limits<double>::infinity();

float one(fw::pack<float> y) { return y[0]; }
double one(fw::pack<double> y) { return y[0]; }

}  // namespace

TEST_CASE("exp is within 1 ULP, 1.25 without FMA, and rounds results below the normal numbers gradually") {
  promises(exp_bound, [](auto x) { return exp(x); }, exp_of, {{-746, 711}, {-1, 1}});
  CHECK(over_floats([](auto x) { return exp(x); }, exp_of, 5003).subnormal_steps <= 1);
}
TEST_CASE("exp is exactly 0 at minus infinity and infinite above the largest number") {
  CHECK(one(exp(fw::pack<float>(-infinity))) == 0);
  CHECK(one(exp(fw::pack<float>(infinity))) == infinity);
  CHECK(one(exp(fw::pack<float>(88.72283f))) < infinity);
  CHECK(one(exp(fw::pack<float>(88.72284f))) == infinity);
  CHECK(one(exp(fw::pack<float>(0))) == 1);
  CHECK(one(exp(fw::pack<double>(-double_infinity))) == 0);
  CHECK(one(exp(fw::pack<double>(double_infinity))) == double_infinity);
  CHECK(one(exp(fw::pack<double>(709.782712893384))) < double_infinity);
  CHECK(one(exp(fw::pack<double>(709.782712893385))) == double_infinity);
}
TEST_CASE("exp2 is within 1 ULP, 1.25 without FMA, and exact at integers") {
  promises(exp_bound, [](auto x) { return exp2(x); }, exp2_of, {{-1075, 1025}, {-1, 1}});
  for (int n = -149; n < 128; ++n) CHECK(one(exp2(fw::pack<float>(n))) == std::ldexp(1.0f, n));
}
TEST_CASE("exp2_nonpositive is within 1 ULP, 1.25 without FMA, and exactly 0 below half of the exponents") {
  const auto f = [](auto x) { return exp2_nonpositive(x); };
  constexpr int L = fw::lanes<float>;
  worst w;
  for (std::uint64_t first = 0x80000000; first <= 0xc2780000; first += 251 * L) {  // -0 down to -62
    float x[L], y[L];
    for (int l = 0; l < L; ++l) x[l] = std::bit_cast<float>(std::uint32_t(first + std::uint64_t(l) * 251));
    f(fw::pack<float>::load(x)).store(y);
    for (int l = 0; l < L; ++l)
      if (x[l] >= -62) w.see(x[l], y[l], std::exp2(double(x[l])));
  }
  CHECK(w.ulp <= exp_bound);
  CHECK(over_doubles(f, exp2_of, -510, 0, 30'000).ulp <= exp_bound);
  for (const float x : {-62.01f, -127.f, -500.f, -1e30f, -infinity}) CHECK(one(f(fw::pack<float>(x))) == 0);
  for (const double x : {-510.1, -1e4, -1e300, -double_infinity}) CHECK(one(f(fw::pack<double>(x))) == 0);
  CHECK(one(f(fw::pack<float>(0))) == 1);
  CHECK(std::isnan(one(f(fw::pack<float>(std::bit_cast<float>(0x7fc00001u))))));
  same_bits_as_whole_packs<float, 1>([](auto x) { return exp2_nonpositive(-abs(x)); });
  same_bits_as_whole_packs<double, 1>([](auto x) { return exp2_nonpositive(-abs(x)); });
}
TEST_CASE("expm1 is within 3 ULP") {
  promises(3, [](auto x) { return expm1(x); }, expm1_of, {{-60, 711}, {-1, 1}});
  CHECK(std::signbit(one(expm1(fw::pack<float>(-0.f)))));
}
TEST_CASE("log is within 2 ULP, subnormal arguments included") {
  promises(2, [](auto x) { return log(x); }, log_of, {{0, 1e300}, {0, 2}, {0.5, 1.5}, {0, 1e-307}});
  CHECK(one(log(fw::pack<float>(0))) == -infinity);
  CHECK(one(log(fw::pack<float>(infinity))) == infinity);
  CHECK(std::isnan(one(log(fw::pack<float>(-1)))));
  CHECK(one(log(fw::pack<float>(1))) == 0);
}
TEST_CASE("log1p is within 2 ULP") {
  promises(2, [](auto x) { return log1p(x); }, log1p_of, {{-1, 3}, {0, 1e10}, {0, 1e308}});
  CHECK(one(log1p(fw::pack<double>(-1))) == -double_infinity);
}
TEST_CASE("tanh is within 4 ULP") {
  promises(4, [](auto x) { return tanh(x); }, tanh_of, {{-25, 25}, {-1, 1}});
  CHECK(one(tanh(fw::pack<float>(infinity))) == 1);
}
TEST_CASE("sigmoid is within 3 ULP") {
  promises(3, [](auto x) { return sigmoid(x); }, sigmoid_of, {{-708, 50}, {-1, 1}});
}
TEST_CASE("times_sigmoid is within 3 ULP, also where e^-x overflows") {
  promises(3, [](auto x) { return times_sigmoid(x); }, silu_of, {{-716, 50}, {-1, 1}});
}
TEST_CASE("softplus is within 3 ULP") {
  promises(3, [](auto x) { return softplus(x); }, softplus_of, {{-708, 50}, {-5, 5}});
}
TEST_CASE("erf is within 3 ULP") { promises(3, [](auto x) { return erf(x); }, erf_of, {{-7, 7}, {-1, 1}}); }
TEST_CASE("erfc is within 4 ULP to the end of its tail") {
  promises(4, [](auto x) { return erfc(x); }, erfc_of, {{-7, 26.5}, {-1, 1}});
}
TEST_CASE("times_normal_cdf is within 4 ULP to the end of its negative tail") {
  promises(4, [](auto x) { return times_normal_cdf(x); }, gelu_of, {{-38, 10}, {-2, 2}});
}

TEST_CASE("sincos is within 1 ULP up to 2^20 and the scalar library's beyond") {
  const auto both = [](worst& s, worst& c, double x) {
    const auto y = sincos(fw::pack<double, 1>(x));
    s.see(x, y.sin.value, std::sin(static_cast<long double>(x)));
    c.see(x, y.cos.value, std::cos(static_cast<long double>(x)));
  };
  worst s, c;
  for (int n = 1; n < 667'544; n += 3) {  // the hardest arguments: next to multiples of π/2
    const auto x = double(static_cast<long double>(n) * 1.570796326794896619231321691639751442L);
    both(s, c, x);
    both(s, c, std::nextafter(x, 0));
  }
  std::mt19937_64 bits(5);
  std::uniform_real_distribution<double> wide(-1048576, 1048576), near(-4, 4);
  for (int i = 0; i < 100'000; ++i) both(s, c, wide(bits)), both(s, c, near(bits));
  CAPTURE(s.at, c.at);
  CHECK(s.ulp <= 1);
  CHECK(c.ulp <= 1);

  worst sf, cf;
  constexpr int L = fw::lanes<float>;
  for (std::uint32_t first = 0x00800000; first <= 0x49800000; first += 499 * L) {
    float x[L], ys[L], yc[L];
    for (int l = 0; l < L; ++l) x[l] = std::bit_cast<float>(first + std::uint32_t(l) * 499);
    const auto y = sincos(fw::pack<float>::load(x));
    y.sin.store(ys), y.cos.store(yc);
    for (int l = 0; l < L; ++l) sf.see(x[l], ys[l], std::sin(double(x[l]))), cf.see(x[l], yc[l], std::cos(double(x[l])));
  }
  CHECK(sf.ulp <= 0.51);
  CHECK(cf.ulp <= 0.51);

  for (const double x : {1048577.0, -3e7, 1e22, 1.7e308}) {
    CHECK(one(sin(fw::pack<double>(x))) == std::sin(x));
    CHECK(one(cos(fw::pack<double>(x))) == std::cos(x));
  }
  CHECK(std::isnan(one(sin(fw::pack<float>(infinity)))));
  CHECK(std::isnan(one(cos(fw::pack<float>(std::numeric_limits<float>::quiet_NaN())))));
  same_bits_as_whole_packs<float, 1>([](auto x) { return sin(x) + cos(x); });
  same_bits_as_whole_packs<double, 1>([](auto x) { return sin(x) + cos(x); });
}

namespace {

/// Largest errors in ULP as the documentation gives them. A lane's arithmetic is the same everywhere, but for fma.
struct measured_bound {
  double with_fma, without;
};

template <class F, class Reference>
void measured(const char* name, measured_bound most, std::uint64_t stride, F f, Reference reference) {
  const worst w = over_floats(f, reference, stride);
  CAPTURE(name, stride, w.ulp, w.at);
  CHECK(w.ulp <= (exp_bound == 1 ? most.with_fma : most.without));
  CHECK(same_bits_over_floats(f, stride));
}

}  // namespace

TEST_CASE("exp and log hold their measured bounds over all floats, in whole packs and alone", "[.slow]") {
  measured(
      "exp", {0.90, 1.18}, 1, [](auto x) { return exp(x); }, exp_of);
  measured(
      "log", {0.84, 0.85}, 1, [](auto x) { return log(x); }, log_of);
}

TEST_CASE("the other functions hold their measured bounds over 10^8 floats, in whole packs and alone", "[.slow]") {
  constexpr std::uint64_t stride = 43;
  measured(
      "exp2", {0.84, 1.10}, stride, [](auto x) { return exp2(x); }, exp2_of);
  measured(
      "expm1", {1.44, 1.51}, stride, [](auto x) { return expm1(x); }, expm1_of);
  measured(
      "log1p", {1.37, 1.37}, stride, [](auto x) { return log1p(x); }, log1p_of);
  measured(
      "tanh", {2.55, 2.60}, stride, [](auto x) { return tanh(x); }, tanh_of);
  measured(
      "sigmoid", {2.44, 2.44}, stride, [](auto x) { return sigmoid(x); }, sigmoid_of);
  measured(
      "times_sigmoid", {2.31, 2.31}, stride, [](auto x) { return times_sigmoid(x); }, silu_of);
  measured(
      "softplus", {1.77, 1.64}, stride, [](auto x) { return softplus(x); }, softplus_of);
  measured(
      "erf", {2.45, 2.52}, stride, [](auto x) { return erf(x); }, erf_of);
  measured(
      "erfc", {2.97, 3.34}, stride, [](auto x) { return erfc(x); }, erfc_of);
  measured(
      "times_normal_cdf", {3.42, 3.46}, stride, [](auto x) { return times_normal_cdf(x); }, gelu_of);
  // beyond 2^20 these are the standard library's
  measured(
      "sin", {1, 1}, stride, [](auto x) { return sin(x); }, [](double x) { return std::sin(x); });
  measured(
      "cos", {1, 1}, stride, [](auto x) { return cos(x); }, [](double x) { return std::cos(x); });
}
