// SPDX-License-Identifier: MIT
#include "support/bench.hpp"

#include <formwork/core/memory.hpp>
#include <formwork/core/pack.hpp>
#include <formwork/core/parallel.hpp>

#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <numeric>
#include <string_view>
#include <vector>

#ifndef BENCH_FLAGS
#define BENCH_FLAGS "unknown"
#endif

namespace fw = formwork;

namespace bench {
namespace {

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

// --- probes ----------------------------------------------------------------------------------------------------------

#if defined(__AVX512F__)
#define BENCH_VECTOR "v"
#elif defined(__SSE2__)
#define BENCH_VECTOR "x"
#else
#define BENCH_VECTOR "w"
#endif

/// Enough chains to hide the latency of two FMA ports (4 cycles × 2), few enough to stay in registers.
constexpr int chains = fw::vector_registers >= 32 ? 16 : 12;

/// One item of the peak probe, about 25 µs; returns its operations.
template <class S>
double fma_item() {
  using pack = fw::pack<S>;
  constexpr int steps = 10000 * 16 / chains;
  pack f[chains];
#pragma GCC unroll 16
  for (int i = 0; i < chains; ++i) f[i] = pack(S(i) * S(1e-3));
  const pack x(S(0.999)), y(S(1e-3));
  for (int k = 0; k < steps; ++k) {
#pragma GCC unroll 16  // without it -O2 keeps f in memory and the "peak" is a third of the machine's
    for (int i = 0; i < chains; ++i) f[i] = fma(f[i], x, y);
    asm volatile("" : "+" BENCH_VECTOR(f[0].value));
  }
#pragma GCC unroll 16
  for (int i = 0; i < chains; ++i) asm volatile("" ::BENCH_VECTOR(f[i].value));
  return double(steps) * chains * 2 * pack::size;
}

/// Floats of the eight pages that are read side by side: one stream does not keep memory busy, and the prefetcher does
/// not cross pages (14.5 against 16.3 GB/s here).
constexpr fw::Index page = 4096 / sizeof(float), pages = 8;

/// Reads `groups` groups of pages and returns a number that depends on all of them.
float read(const float* data, fw::Index groups) {
  using pack = fw::pack<float>;
  pack part[pages];
#pragma GCC unroll 8
  for (int i = 0; i < pages; ++i) part[i] = pack(0);
  for (const float* end = data + groups * pages * page; data < end; data += pages * page)
    for (fw::Index at = 0; at < page; at += pack::size) {
#pragma GCC unroll 8
      for (int i = 0; i < pages; ++i) part[i] = part[i] + pack::load(data + i * page + at);
    }
  pack all(0);
#pragma GCC unroll 8
  for (int i = 0; i < pages; ++i) all = all + part[i];
  return sum(all);
}

/// What item(0) ... item(count - 1) return together, a second, shared by `threads` threads at once.
template <class F>
double rate(int threads, fw::Index count, F&& item) {
  const int before = fw::threads();
  fw::threads(threads);
  fw::parallel_for(threads, [](fw::Index) {});  // wakes the others
  std::vector<double> amounts(std::size_t(count), 0.0);
  const double begin = now();
  fw::parallel_for(count, [&](fw::Index i) { amounts[std::size_t(i)] = item(i); });
  const double seconds = now() - begin;
  fw::threads(before);
  return std::accumulate(amounts.begin(), amounts.end(), 0.0) / seconds;
}

/// The probe's memory: apart from the pool, so that the pool's statistics are those of the row.
struct buffer {
  explicit buffer(fw::Index count)
      : floats(count), data(static_cast<float*>(std::aligned_alloc(4096, std::size_t(count) * sizeof(float)))) {
    if (!data) throw std::bad_alloc();
    std::fill_n(data, count, 1.0f);
  }
  buffer(const buffer&) = delete;
  buffer& operator=(const buffer&) = delete;
  ~buffer() { std::free(data); }
  fw::Index floats;
  float* data;
};

// --- memory ----------------------------------------------------------------------------------------------------------

/// A line of /proc/self/status in bytes, or 0.
double status(std::string_view key) {
  std::ifstream in("/proc/self/status");
  for (std::string line; std::getline(in, line);)
    if (line.starts_with(key)) return std::strtod(line.c_str() + key.size() + 1, nullptr) * 1024;
  return 0;
}

/// Gives free memory back and restarts the record of the largest resident size.
void forget_peak_memory() {
  fw::pool::instance().trim();
#ifdef __GLIBC__
  malloc_trim(0);
#endif
  std::ofstream("/proc/self/clear_refs") << 5;
}

// --- rows ------------------------------------------------------------------------------------------------------------

constexpr double smallest_streamed = 64e6;  // bytes an iteration must read before memory can be what bounds it
constexpr double sample_seconds = 4e-3;
constexpr double broken = 1.05;

double seconds_per_row = 0.5;
std::vector<std::string> complaints;

/// The one row whose data are alive: Google Benchmark calls a row again for each repetition.
struct current_row {
  std::string name;
  body timed;
  double baseline = 0;
  long inner = 1;
  long samples = 5;
};
current_row current;

int threads_of(const std::string& name) { return name.starts_with("two_threads/") ? 2 : 1; }

void enter(const std::string& name, const work& per_iteration, const std::function<body()>& set_up) {
  if (current.name == name) return;
  current = {};
  fw::threads(threads_of(name));
  if (per_iteration.bytes >= smallest_streamed) read_bandwidth(per_iteration.bytes, 1);
  forget_peak_memory();
  current.baseline = status("VmRSS");
  current.name = name;
  current.timed = set_up();
  forget_peak_memory();  // copies made while setting up are not the row's
  current.timed();       // warm: caches, pool, page tables
  double once = now();
  current.timed();
  once = now() - once;
  while (once < 1e-4) {  // too short for the clock: time more calls together
    current.inner *= 10;
    const double begin = now();
    for (long i = 0; i < current.inner; ++i) current.timed();
    once = now() - begin;
  }
  current.inner = std::max(1L, std::lround(double(current.inner) * sample_seconds / once));
  const double sample = once * std::max(1.0, sample_seconds / once);
  current.samples = std::max(5L, long(1.2 * seconds_per_row / sample));
}

void check(const std::string& name, const char* what, double share, double saving = 1) {
  if (share > broken * saving)
    complaints.push_back(name + ": " + what + " is " + std::to_string(share) + ", above " + std::to_string(broken * saving) +
                         ": the probe is broken or the work is overstated");
}

void run(benchmark::State& state, const std::string& name, const work& per_iteration,
         const std::function<body()>& set_up) {
  enter(name, per_iteration, set_up);
  const int threads = threads_of(name);
  const bool computes = per_iteration.flops > 0, streams = per_iteration.bytes >= smallest_streamed;
  std::vector<double> seconds, compute, memory;

  // All samples are one batch, so that a row never runs shorter than its samples, whatever count Google Benchmark tries.
  while (state.KeepRunningBatch(current.inner * current.samples))
    for (long sample = 0; sample <= current.samples; ++sample) {
      state.PauseTiming();
      if (computes) compute.push_back(peak(per_iteration.peak, threads));
      if (streams) memory.push_back(read_bandwidth(per_iteration.bytes, threads));
      state.ResumeTiming();
      if (sample == current.samples) break;
      const double begin = now();
      for (long i = 0; i < current.inner; ++i) current.timed();
      seconds.push_back((now() - begin) / double(current.inner));
    }

  const auto share = [&](const std::vector<double>& probes, double amount) {
    const std::size_t probes_a_batch = std::size_t(current.samples) + 1;
    std::vector<double> shares;
    for (std::size_t i = 0; i < seconds.size(); ++i) {
      const std::size_t before = i / std::size_t(current.samples) * probes_a_batch + i % std::size_t(current.samples);
      shares.push_back(amount / seconds[i] / std::max(probes[before], probes[before + 1]));
    }
    return median(shares);
  };
  const double typical = median(seconds);
  if (computes) {
    state.counters["GFLOP/s"] = per_iteration.flops / typical * 1e-9;
    state.counters["share_of_peak"] = share(compute, per_iteration.flops * 1e-9);
    check(name, "share_of_peak", state.counters["share_of_peak"], per_iteration.saving);
  }
  if (per_iteration.bytes > 0) state.counters["bytes/s"] = per_iteration.bytes / typical;
  if (streams) {
    state.counters["share_of_bandwidth"] = share(memory, per_iteration.bytes);
    check(name, "share_of_bandwidth", state.counters["share_of_bandwidth"]);
  }
  if (per_iteration.tokens > 0) state.counters["tokens/s"] = per_iteration.tokens / typical;
  state.counters["ms"] = typical * 1e3;
  if (const double largest = status("VmHWM"); largest > 0)
    state.counters["peak_MB"] = std::max(0.0, largest - current.baseline) * 1e-6;
}

std::string processor() {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);)
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  return "unknown";
}

std::string rounded(double value) { return std::to_string(std::lround(value)); }

std::string eigen_version() {
  const int major = EIGEN_MAJOR_VERSION;  // what was the world and the major number became one number with Eigen 5
  return (major < 5 ? std::to_string(EIGEN_WORLD_VERSION) + "." : "") + std::to_string(major) + "." +
         std::to_string(EIGEN_MINOR_VERSION);
}

void describe_machine(int available) {
  benchmark::AddCustomContext("processor", processor());
  benchmark::AddCustomContext("simd", fw::simd_name);
  benchmark::AddCustomContext("threads", std::to_string(available) + " (rows run on one unless they say two_threads)");
  benchmark::AddCustomContext("flags", BENCH_FLAGS);
  benchmark::AddCustomContext("compiler", __VERSION__);
  benchmark::AddCustomContext("formwork", std::to_string(FORMWORK_VERSION_MAJOR) + "." +
                                              std::to_string(FORMWORK_VERSION_MINOR) + "." +
                                              std::to_string(FORMWORK_VERSION_PATCH));
  benchmark::AddCustomContext("eigen", eigen_version());
  for (int threads : {1, available}) {
    fw::threads(threads);
    for (int i = 0; i < 5; ++i) peak(precision::fp32, threads);
    std::string text =
        rounded(peak(precision::fp32, threads)) + " GFLOP/s fp32, " + rounded(peak(precision::fp64, threads)) + " fp64";
    benchmark::AddCustomContext(threads == 1 ? "peak_1_thread" : "peak_all_threads", text);
    if (available == 1) break;
  }
}

}  // namespace

double peak(precision of, int threads) {
  return 1e-9 * rate(threads, 80 * threads,
                     [of](fw::Index) { return of == precision::fp32 ? fma_item<float>() : fma_item<double>(); });
}

double read_bandwidth(double bytes, int threads) {
  constexpr fw::Index groups = 8, item = groups * pages * page;  // 1 MB
  static std::unique_ptr<buffer> memory;
  const fw::Index items = fw::Index(bytes / double(item * fw::Index(sizeof(float)))) + 1;
  if (!memory || memory->floats != item * items) {
    memory.reset();
    memory = std::make_unique<buffer>(item * items);
  }
  return rate(threads, items, [](fw::Index i) {
    keep(read(memory->data + i * item, groups));
    return double(item * fw::Index(sizeof(float)));
  });
}

void add(std::string name, work per_iteration, std::function<body()> set_up) {
  benchmark::RegisterBenchmark(name.c_str(), [name, per_iteration, set_up = std::move(set_up)](
                                                 benchmark::State& state) { run(state, name, per_iteration, set_up); });
}

}  // namespace bench

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i)
    if (const std::string_view arg = argv[i]; arg.starts_with("--benchmark_min_time=")) {
      const double given = std::strtod(argv[i] + std::string_view("--benchmark_min_time=").size(), nullptr);
      if (given > 0) bench::seconds_per_row = given;
    }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  bench::describe_machine(fw::threads());
  bench::rows();
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  bench::current = {};
  for (const std::string& complaint : bench::complaints) std::cerr << "error: " << complaint << '\n';
  return bench::complaints.empty() ? 0 : 1;
}
