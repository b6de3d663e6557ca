// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/sequences.hpp>

#include <cstdlib>

#include "kernel/checks.hpp"

// Kernels over random shapes, against their double oracles by the accuracy rule. What one case is follows from its number
// alone; FORMWORK_CASE=<number> in the environment runs it by itself.

namespace checks {

/// How many cases a sweep runs by default, and in its [.slow] test.
constexpr int few_cases = 100, many_cases = 2000;

/// The largest errors of one output over all draws of its numbers, and the largest number of the oracle.
struct output_errors {
  std::string what;
  double times, ours = 0, naive = 0, largest = 0;

  /// An error in eps of the largest number.
  double in_eps(double error) const { return error / (std::numeric_limits<float>::epsilon() * largest + 1e-300); }
  bool hold() const { return std::isfinite(ours) && in_eps(ours) <= times * in_eps(naive) + 4; }
};

/// One case: shapes that love edges, seeds of its numbers, and what was found.
class trial : public numbers {
 public:
  /// Every draw has the shapes of its case and other numbers in them.
  trial(std::uint64_t number, std::uint64_t draw, std::vector<output_errors>& found)
      : numbers(number), seed_(number + (draw << 32) + 1), found_(found) {}

  std::uint64_t seed() const { return seed_; }

  bool once_in(Index n) { return below(n) == 0; }
  template <class T>
  T any(std::initializer_list<T> of) {
    return of.begin()[below(static_cast<Index>(of.size()))];
  }
  /// Up to `most`: least or next to it, a power of two or a tile's edge ± 1, a prime, or anything, small more often than
  /// large.
  Index size(Index most, Index least = 1) {
    most = std::max(most, least);
    const Index near = least + static_cast<Index>(std::exp(uniform() * std::log(double(most - least + 1)))) - 1;
    Index n = near;
    switch (below(6)) {
      case 0:
        n = least + below(3);
        break;
      case 1:
      case 2:
        n = any<Index>({4, 8, 12, 16, 24, 32, 48, 64, 128, 192, 256, 384, 512, 1024}) + below(3) - 1;
        break;
      case 3:
        n = any<Index>({2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 53, 61, 71, 97, 113, 151, 199, 257, 389, 509, 769});
        break;
      case 4:
        n = least + below(most - least + 1);
        break;
      default:
        break;
    }
    return n < least || n > most ? near : n;
  }
  /// At most `rows` rows in up to five sequences, many of them of length 0 or 1.
  fw::sequences ragged(Index rows) {
    std::vector<Index> lengths;
    for (Index left = below(6); left > 0; --left) {
      lengths.push_back(std::min(rows, once_in(3) ? below(2) : size(rows, 0)));
      rows -= lengths.back();
    }
    return fw::sequences(lengths);
  }
  places anywhere() { return places(*this); }

  /// The accuracy rule. `part`: the largest number the outputs are differences of, where that is more.
  void accurate(const char* what, const fw::matrix<float>& ours, const fw::matrix<float>& naive,
                const fw::matrix<double>& oracle, double times, double part = 0) {
    if (outputs_ == found_.size())
      found_.push_back({what + (" " + std::to_string(oracle.rows())) + " × " + std::to_string(oracle.cols()), times});
    auto& at = found_[outputs_++];
    at.ours = std::max(at.ours, error(ours, oracle));
    at.naive = std::max(at.naive, error(naive, oracle));
    at.largest = std::max({at.largest, part, largest_finite(oracle)});
  }
  /// In double the oracle is the naive loop itself, with rounding errors of its own; the numbers are of unit size.
  void accurate(const char* what, const fw::matrix<double>& ours, const fw::matrix<double>& oracle, double part = 1) {
    INFO(what << " in double, " << oracle.rows() << " × " << oracle.cols());
    const double eps = std::numeric_limits<double>::epsilon() * std::max({1.0, part, largest_finite(oracle)});
    CHECK(error(ours, oracle) / eps <= 20'000);
  }

 private:
  static double largest_finite(const fw::matrix<double>& m) {
    double most = 0;
    for (Index i = 0; i < m.size(); ++i)
      if (std::isfinite(m.data()[i])) most = std::max(most, std::abs(m.data()[i]));
    return most;
  }
  /// Infinite where one is not a number or both are not the same infinity.
  template <class S>
  static double error(const fw::matrix<S>& a, const fw::matrix<double>& b) {
    double most = 0;
    for (Index i = 0; i < b.size(); ++i) {
      const double x = static_cast<double>(a.data()[i]), y = b.data()[i], e = x == y ? 0 : std::abs(x - y);
      most = std::max(most, std::isnan(e) ? std::numeric_limits<double>::infinity() : e);
    }
    return most;
  }

  std::uint64_t seed_;
  std::vector<output_errors>& found_;
  std::size_t outputs_ = 0;
};

/// one(trial) for cases 0 .. count - 1. The rule compares largest errors, which are luck where an output is a few numbers:
/// a case that breaks it is drawn again in the same shape, and then up to 64 draws count as one output.
template <class Case>
void sweep(int count, Case one) {
  const char* chosen = std::getenv("FORMWORK_CASE");
  const int first = chosen ? std::atoi(chosen) : 0, end = chosen ? first + 1 : count;
  for (int number = first; number < end; ++number) {
    INFO("case " << number << " (alone: FORMWORK_CASE=" << number << ")");
    std::vector<output_errors> found;
    const auto hold = [&] { return std::all_of(found.begin(), found.end(), [](const auto& e) { return e.hold(); }); };
    for (std::uint64_t draw = 0; draw == 0 || (draw < 64 && !hold()); ++draw) {
      trial t(static_cast<std::uint64_t>(number), draw, found);
      one(t);
    }
    for (const output_errors& e : found) {
      CAPTURE(e.what, e.times, e.in_eps(e.ours), e.in_eps(e.naive));
      CHECK(e.hold());
    }
  }
}

}  // namespace checks
