// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/pack.hpp>

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>

namespace formwork::inline FORMWORK_ABI {

/// One line about a long run on standard error: a bar that redraws itself on a terminal, otherwise a line every few seconds.
class progress {
 public:
  progress(Index first, Index total) : first_(first), total_(total), terminal_(isatty(STDERR_FILENO) != 0) {}
  progress(const progress&) = delete;
  progress& operator=(const progress&) = delete;
  ~progress() { finish(); }

  /// After `done` of the total; `note` is what the run has to say, such as "loss 2.31, 41 k tokens/s".
  void update(Index done, const std::string& note) {
    const double since = seconds(last_);
    if (shown_ && done < total_ && since < (terminal_ ? 0.2 : 5.0)) return;
    last_ = clock::now();
    shown_ = true;
    const double share = total_ > 0 ? static_cast<double>(done) / static_cast<double>(total_) : 1;
    const double elapsed = seconds(start_), made = static_cast<double>(std::max<Index>(done - first_, 1));
    const double left = elapsed / made * static_cast<double>(total_ - done);
    char line[64];
    std::snprintf(line, sizeof line, "%lld/%lld", static_cast<long long>(done), static_cast<long long>(total_));
    std::string out = terminal_ ? "\r\033[K" + bar(share) + " " : "step ";
    out += std::string(line) + "  " + note + "  " + clock_text(left) + " left";
    if (!terminal_) out += "\n";
    std::fputs(out.c_str(), stderr);
    std::fflush(stderr);
  }

  /// A line of its own between two updates.
  void say(const std::string& line) {
    std::fprintf(stderr, "%s%s\n", terminal_ && shown_ ? "\r\033[K" : "", line.c_str());
  }

  void finish() {
    if (terminal_ && shown_) std::fputs("\n", stderr);
    shown_ = false;
  }

  static std::string clock_text(double s) {
    char out[32];
    const auto whole = static_cast<long>(s + 0.5);
    std::snprintf(out, sizeof out, "%ld:%02ld", whole / 60, whole % 60);
    return out;
  }

 private:
  using clock = std::chrono::steady_clock;
  static double seconds(clock::time_point since) { return std::chrono::duration<double>(clock::now() - since).count(); }
  static std::string bar(double share) {
    constexpr int width = 24;
    const int full = static_cast<int>(share * width);
    std::string r = "[";
    for (int i = 0; i < width; ++i) r += i < full ? "█" : "·";
    return r + "]";
  }

  Index first_, total_;
  bool terminal_, shown_ = false;
  clock::time_point start_ = clock::now(), last_ = clock::now();
};

}  // namespace formwork
