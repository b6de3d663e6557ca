// SPDX-License-Identifier: MIT
// Linear attention, where it pays off: from which length on it takes less time than softmax attention, beside what counting
// multiplications says; and how near the maps that stand for softmax attention's weights come to it, at equal cost.
// kexue.fm/archives/8610 (the count), 8338 (4 times the features), 8601 (Taylor and limit maps); Choromanski et al., 2009.14794.
#include "support/study.hpp"

#include <formwork/attention.hpp>
#include <formwork/feature.hpp>
#include <formwork/kernel/attend.hpp>

#include <algorithm>
#include <chrono>
#include <functional>
#include <limits>
#include <numeric>

namespace fw = formwork;
using fw::Index;
using support::rounded;

namespace {

struct settings {
  std::string out = "linear_attention";
  Index width = 64, heads = 4, longest = 8192, repeats = 5;
  Index keys = 512, narrow = 16, seed = 1, draws = 5;
  int threads = 1;
  bool quick = false;
};

/// The shortest of some runs, in seconds.
double seconds(Index repeats, const std::function<void()>& work) {
  double best = std::numeric_limits<double>::infinity();
  for (Index r = 0; r <= repeats; ++r) {  // one more: the first warms up
    const auto from = std::chrono::steady_clock::now();
    work();
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - from).count());
  }
  return best;
}

/// What an attention reads and writes.
struct tensors {
  fw::head_shape shape;
  fw::sequences batch;
  fw::matrix<float> q, k, v, dout, out, kept, dq, dk, dv;

  tensors(Index n, fw::head_shape h, double spread, std::uint64_t seed)
      : shape(h), batch{n}, q(n, h.query_heads * h.key_width), k(n, h.key_heads * h.key_width), v(n, h.value_heads * h.head_width),
        dout(n, h.output_heads * h.head_width), out(n, dout.cols()), kept(n, h.heads), dq(n, q.cols()), dk(n, k.cols()),
        dv(n, v.cols()) {
    fw::rng random(seed);
    random.fill_normal(q, spread), random.fill_normal(k, spread), random.fill_normal(v, 1), random.fill_normal(dout, 1);
  }
};

template <class Mask>
const fw::attend_policies softmax_attention{Mask{}, fw::inv_sqrt{}, fw::plain{}, fw::softmax{}, fw::independent{}};

template <class Policies>
void attend(tensors& t, const Policies& p) {
  fw::attend_forward<float>(t.out, t.kept, t.q, t.k, t.v, t.batch, t.batch, t.shape, p);
}
template <class Policies>
void attend_back(tensors& t, const Policies& p) {
  fw::attend_backward<float>(t.dq, t.dk, t.dv, t.dout, t.out, t.kept, t.q, t.k, t.v, t.batch, t.batch, t.shape, p);
}
template <class Policies>
void attend_linearly(tensors& t, const Policies& p) {
  fw::linear_attend_forward<float>(t.out, t.kept, t.q, t.k, t.v, t.batch, t.shape, p);
}
template <class Policies>
void attend_linearly_back(tensors& t, const Policies& p) {
  fw::linear_attend_backward<float>(t.dq, t.dk, t.dv, t.dout, t.out, t.kept, t.q, t.k, t.v, t.batch, t.shape, p);
}

// ---- Where it pays off

/// Where one line falls below another, between two lengths by powers; 0: nowhere.
double crossover(const std::vector<double>& n, const std::vector<double>& softmax, const std::vector<double>& linear) {
  std::size_t i = n.size();
  while (i > 0 && linear[i - 1] < softmax[i - 1]) --i;
  if (i == n.size()) return 0;
  if (i == 0) return n[0];
  const double a = std::log(linear[i - 1] / softmax[i - 1]), b = std::log(linear[i] / softmax[i]);
  return n[i - 1] * std::pow(n[i] / n[i - 1], a / (a - b));
}

/// A linear attention and the length from which on it has fewer multiplications than full softmax attention with heads of d:
/// 2 m e n of linear attention with m features and values of e, 2 d n² of softmax.
struct rival {
  std::string name;
  Index features, values;  ///< in d
  double predicted(Index d) const { return static_cast<double>(features * values * d); }
};

template <class Mask>
void find_crossovers(const settings& s, const std::string& mask_name) {
  constexpr auto sums = Mask::sees_ahead ? fw::key_sums::full : fw::key_sums::causal;
  const double share = Mask::sees_ahead ? 1 : 2;  // causal softmax attention skips half
  const rival rivals[] = {{"d features", 1, 1}, {"4 d features", 4, 1}, {"4 d features and values", 4, 4}};
  const std::string parts[] = {"forward", "forward and backward"};
  std::vector<double> lengths, softmax[2], linear[2][3];
  fw::chart drawn{.title = "Time of " + mask_name + " attention, heads of " + std::to_string(s.width), .x = "log2 tokens",
                  .y = "log10 microseconds per token and head, forward"};
  std::printf("%s attention, microseconds per token and head: forward / forward and backward\n\n%8s%18s", mask_name.c_str(),
              "tokens", "softmax");
  for (const rival& r : rivals) std::printf("%26s", r.name.c_str());
  std::printf("\n");
  for (Index n = 64; n <= s.longest; n *= 2) {
    lengths.push_back(static_cast<double>(n));
    const double per = 1e6 / static_cast<double>(n * s.heads);
    const Index repeats = n <= 1024 ? 4 * s.repeats : s.repeats;
    const auto measured = [&](auto& to, const std::string& name, const auto& forward, const auto& backward) {
      const double one = per * seconds(repeats, forward), both = per * seconds(repeats, [&] { forward(), backward(); });
      to[0].push_back(one), to[1].push_back(both);
      drawn.add(name, std::log2(static_cast<double>(n)), std::log10(one));
      return rounded(one, 2) + " / " + rounded(both, 2);
    };
    tensors exact(n, {s.heads, s.heads, s.width, s.width}, 1, static_cast<std::uint64_t>(s.seed));
    std::vector<std::string> row{measured(softmax, "softmax", [&] { attend(exact, softmax_attention<Mask>); },
                                          [&] { attend_back(exact, softmax_attention<Mask>); })};
    constexpr fw::linear_attend_policies<sums, fw::elu_plus_one> policies{};
    for (std::size_t r = 0; r < 3; ++r) {
      tensors wide(n, {s.heads, s.heads, rivals[r].features * s.width, rivals[r].values * s.width}, 1,
                   static_cast<std::uint64_t>(s.seed));
      std::vector<double> times[2];
      row.push_back(measured(times, rivals[r].name, [&] { attend_linearly(wide, policies); },
                             [&] { attend_linearly_back(wide, policies); }));
      for (int part = 0; part < 2; ++part) linear[part][r].push_back(times[part][0]);
    }
    std::printf("%8lld%18s", static_cast<long long>(n), row[0].c_str());
    for (std::size_t r = 1; r < row.size(); ++r) std::printf("%26s", row[r].c_str());
    std::printf("\n");
    std::fflush(stdout);
  }
  std::printf("\n");
  support::save_chart(s.out + "_" + mask_name, drawn);
  std::printf("\n");
  for (std::size_t r = 0; r < 3; ++r) {
    const double predicted = share * rivals[r].predicted(s.width);
    std::string found;
    bool near = true;
    for (int part = 0; part < 2; ++part) {
      const double at = crossover(lengths, softmax[part], linear[part][r]);
      found += (part ? "; " : "") + parts[part] + ": " +
               (at == 0 ? "beyond " + rounded(lengths.back(), 0) : at == lengths[0] ? "at once" : "n = " + rounded(at, 0));
      near = near && at >= predicted / 2 && at <= predicted * 2;
    }
    support::verdict(mask_name + ", " + rivals[r].name + ": cheaper from n = " + rounded(predicted, 0) +
                         " on, within a factor of 2, counting multiplications (8610" +
                         (share == 2 ? "; twice that as causal softmax attention skips half)" : ")"),
                     found, near);
  }
}

// ---- How near softmax attention

struct nearness {
  std::string name;
  Index features;
  double error, microseconds;  ///< root mean square, of the outputs'; per token
};

double relative_error(const fw::matrix<float>& a, const fw::matrix<float>& exact) {
  return static_cast<double>((fw::eigen(a) - fw::eigen(exact)).norm() / fw::eigen(exact).norm());
}

template <class Feature>
nearness try_map(const settings& s, const std::string& name, const Feature& feature, tensors t, const fw::matrix<float>& exact) {
  const auto map = fw::prepared<float>(feature, t.shape.key_width);
  const fw::linear_attend_policies<fw::key_sums::full, std::remove_const_t<decltype(map)>> chosen{map, {}};
  const double time = seconds(s.repeats, [&] { attend_linearly(t, chosen); });
  return {name, chosen.features_of(t.shape).key_width, relative_error(t.out, exact),
          1e6 * time / static_cast<double>(t.batch.rows())};
}

void compare_maps(const settings& s) {
  const fw::head_shape shape{1, 1, s.narrow, s.narrow};
  const Index orders[] = {2, 4};
  double slopes = 0;
  int count = 0;
  bool taylor_nearer = true, random_farther = true;
  std::string taylor_said, random_said, slope_said;
  std::printf("Maps that stand for softmax attention's weights: one full head of %lld, %lld keys; the root mean square error of "
              "the outputs, of their size\n\n%-12s%-20s%10s%12s%16s\n", static_cast<long long>(s.narrow),
              static_cast<long long>(s.keys), "scores", "map", "features", "error", "us per token");
  for (const double spread : {0.5, 1.0, 1.5}) {
    tensors t(s.keys, shape, spread, static_cast<std::uint64_t>(s.seed));
    attend(t, softmax_attention<fw::full>);
    const fw::matrix<float> exact = t.out;
    fw::chart drawn{.title = "Error against cost, scores of deviation " + rounded(spread * spread, 2), .x = "log10 us per token",
                    .y = "log10 relative error of the outputs"};
    const auto report = [&](const nearness& r) {
      std::printf("%-12s%-20s%10lld%12.4g%16.3f\n", rounded(spread * spread, 2).c_str(), r.name.c_str(),
                  static_cast<long long>(r.features), r.error, r.microseconds);
      std::fflush(stdout);
      drawn.add(r.name, std::log10(r.microseconds), std::log10(r.error));
      return r;
    };
    std::vector<nearness> taylor, limit, random;
    for (const Index order : orders) {
      taylor.push_back(report(try_map(s, "taylor_map", fw::taylor_map{order}, t, exact)));
      limit.push_back(report(try_map(s, "limit_map", fw::limit_map{order}, t, exact)));
    }
    const Index most = (taylor.back().features + 15) / 16 * 16;
    std::vector<Index> numbers;
    for (Index m = 16; m < most; m *= 4) numbers.push_back(m);
    numbers.push_back(most);
    for (const Index m : numbers) {  // the mean square over draws of the directions
      nearness mean{"favor", m, 0, std::numeric_limits<double>::infinity()};
      for (Index draw = 0; draw < s.draws; ++draw) {
        fw::rng source(static_cast<std::uint64_t>(s.seed + 100), static_cast<std::uint64_t>(draw));
        const auto one = try_map(s, "favor",
                                 fw::favor<float>::make(fw::builder{.sizes = {.width = s.narrow, .heads = 1}, .random = source},
                                                        {.features = m}), t, exact);
        mean.error += one.error * one.error / static_cast<double>(s.draws);
        mean.microseconds = std::min(mean.microseconds, one.microseconds);
      }
      mean.error = std::sqrt(mean.error);
      random.push_back(report(mean));
    }
    report(try_map(s, "elu_plus_one", fw::elu_plus_one{}, t, exact));
    std::printf("\n");
    support::save_chart(s.out + "_error_" + rounded(spread * spread, 2), drawn);
    std::printf("\n");

    const std::string at = rounded(spread * spread, 2) + ": ";
    for (std::size_t i = 0; i < taylor.size(); ++i) {
      taylor_nearer = taylor_nearer && taylor[i].error < limit[i].error;
      taylor_said += (taylor_said.empty() ? "" : ", ") + at + rounded(taylor[i].error / limit[i].error, 2);
    }
    for (const nearness& one : taylor) {  // beside the best of the random maps that take no more time, or the smallest
      double best = random.front().error;
      for (const nearness& other : random)
        if (other.microseconds <= one.microseconds) best = std::min(best, other.error);
      random_farther = random_farther && one.error < best;
      random_said += (random_said.empty() ? "" : ", ") + at + rounded(one.error, 4) + " and " + rounded(best, 4);
    }
    const auto& few = random.front();
    const double more = static_cast<double>(random.back().features) / static_cast<double>(few.features);
    const double slope = std::log(random.back().error / few.error) / std::log(more);
    slopes += slope, ++count;
    slope_said += (slope_said.empty() ? "" : ", ") + at + rounded(slope, 2);
  }
  support::verdict("of one order the Taylor map is nearer to softmax attention than the limit map, as weights err by "
                   "s^(N+1)/(N+1)! and s²/2N (maps of 8601)",
                   "its error in the limit map's, by the deviation of the scores, orders 2 and 4: " + taylor_said, taylor_nearer);
  support::verdict("in the same time the Taylor map is nearer to softmax attention than random features (8601 beside 2009.14794)",
                   "errors of taylor_map, orders 2 and 4, and of favor, by the deviation of the scores: " + random_said,
                   random_farther);
  support::verdict("outputs of random features err as 1 / √features, as their weights do (2009.14794)",
                   "exponents by the deviation of the scores: " + slope_said,
                   std::abs(slopes / count + 0.5) < 0.15);
}

int study(settings s) {
  if (s.quick) s.longest = 128, s.keys = 64, s.narrow = 4, s.repeats = 1, s.draws = 2, s.heads = 1;
  fw::threads(s.threads > 0 ? s.threads : fw::threads());
  std::printf("formwork %s, %d threads\n\n", fw::simd_name, fw::threads());
  find_crossovers<fw::full>(s, "full");
  find_crossovers<fw::causal>(s, "causal");
  compare_maps(s);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  settings s;
  CLI::App app{"Finds from which length on linear attention is cheaper, and how near to softmax attention its maps come."};
  const auto size = [&](const char* name, Index& value, Index least, Index most, const char* help) {
    app.add_option(name, value, help)->check(CLI::Range(least, most))->capture_default_str();
  };
  app.add_option("--out", s.out, "start of the names of the pictures and tables")->capture_default_str();
  size("--width", s.width, 1, 1024, "d, of a head whose time is measured");
  size("--heads", s.heads, 1, 256, "measured together");
  size("--longest", s.longest, 64, 1 << 20, "of the sequences: 64, 128, ...");
  size("--repeats", s.repeats, 1, 1000, "of each measurement; the shortest counts");
  size("--keys", s.keys, 1, 1 << 20, "that the maps are compared over");
  size("--narrow", s.narrow, 2, 32, "width of a head for the maps, as Taylor's features grow as its power");
  size("--draws", s.draws, 1, 1000, "of favor's directions");
  size("--seed", s.seed, 0, 1 << 30, "of everything random");
  app.add_option("--threads", s.threads, "0: all cores")->check(CLI::Range(0, 1024))->capture_default_str();
  app.add_flag("--quick", s.quick, "short sequences: seconds");
  return support::run(app, argc, argv, [&] { return study(s); });
}
