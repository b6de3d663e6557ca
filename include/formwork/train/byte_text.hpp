// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/error.hpp>
#include <formwork/core/random.hpp>
#include <formwork/train/training_batch.hpp>

#include <array>
#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace formwork::inline FORMWORK_ABI {

/// A text as bytes, its last part held out: token = byte, vocab 256.
///
/// Throws    argument_error where the training part is shorter than one window.
class byte_text {
 public:
  static constexpr Index vocab = 256;

  explicit byte_text(std::string text, double held_out = 0.1) : bytes_(std::move(text)) {
    const auto n = static_cast<double>(bytes_.size());
    training_ = static_cast<Index>(std::floor(n * (1 - held_out)));
  }

  Index size() const { return static_cast<Index>(bytes_.size()); }
  Index training_size() const { return training_; }
  std::string_view training() const { return std::string_view(bytes_).substr(0, static_cast<std::size_t>(training_)); }
  std::string_view held_out() const { return std::string_view(bytes_).substr(static_cast<std::size_t>(training_)); }

  /// `count` windows of `length` bytes at random places of the training part, written into `out` without allocating anew.
  void draw(Index count, Index length, rng& random, training_batch& out) const {
    require(training_ > length, "byte_text: the training part has ", training_, " bytes; needs more than the window of ", length);
    prepare(out, count, length);
    for (Index s = 0; s < count; ++s)
      copy_window(random.below(training_ - length), s * length, length, out);
  }

  training_batch draw(Index count, Index length, rng& random) const {
    training_batch out;
    draw(count, length, random, out);
    return out;
  }

  /// Windows number first .. first + count - 1 of the held-out part, side by side; false once none is left.
  bool held_out_windows(Index first, Index count, Index length, training_batch& out) const {
    const Index available = (size() - training_ - 1) / length - first;
    if (available <= 0) return false;
    count = std::min(count, available);
    prepare(out, count, length);
    for (Index s = 0; s < count; ++s) copy_window(training_ + (first + s) * length, s * length, length, out);
    return true;
  }

  /// The entropy of a byte given the one before it, in nats, of the whole text: what counting pairs can reach.
  ///
  ///   H = -Σ n(a,b) log(n(a,b) / n(a)) / Σ n(a,b)
  double bigram_entropy() const {
    std::vector<double> pairs(vocab * vocab, 0.0), firsts(vocab, 0.0);
    for (std::size_t i = 0; i + 1 < bytes_.size(); ++i) {
      pairs[static_cast<std::size_t>(token(i) * vocab + token(i + 1))] += 1;
      firsts[static_cast<std::size_t>(token(i))] += 1;
    }
    double total = 0, count = 0;
    for (std::size_t p = 0; p < pairs.size(); ++p)
      if (pairs[p] > 0) {
        total -= pairs[p] * std::log(pairs[p] / firsts[p / vocab]);
        count += pairs[p];
      }
    return count > 0 ? total / count : 0;
  }

  static std::vector<Index> tokens_of(std::string_view text) {
    std::vector<Index> ids;
    for (const char c : text) ids.push_back(static_cast<unsigned char>(c));
    return ids;
  }

 private:
  Index token(std::size_t i) const { return static_cast<unsigned char>(bytes_[i]); }

  static void prepare(training_batch& out, Index count, Index length) {
    if (out.input.batch.count() != count || out.input.batch.rows() != count * length)
      out.input.batch = sequences::equal(count, length);
    out.input.ids.resize(static_cast<std::size_t>(count * length));
    out.target.resize(out.input.ids.size());
  }
  void copy_window(Index at, Index to, Index length, training_batch& out) const {
    for (Index i = 0; i < length; ++i) {
      out.input.ids[static_cast<std::size_t>(to + i)] = token(static_cast<std::size_t>(at + i));
      out.target[static_cast<std::size_t>(to + i)] = token(static_cast<std::size_t>(at + i + 1));
    }
  }

  std::string bytes_;
  Index training_ = 0;
};

}  // namespace formwork
