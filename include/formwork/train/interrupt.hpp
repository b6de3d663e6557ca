// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/abi.hpp>

#include <csignal>

namespace formwork::inline FORMWORK_ABI {

/// While alive, Ctrl-C (SIGINT) and SIGTERM only set a flag, so that a long run can end with a checkpoint. A second signal
/// ends the program as usual.
class interrupt {
 public:
  interrupt() {
    flag() = 0;
    before_int_ = std::signal(SIGINT, raise_flag);
    before_term_ = std::signal(SIGTERM, raise_flag);
  }
  interrupt(const interrupt&) = delete;
  interrupt& operator=(const interrupt&) = delete;
  ~interrupt() {
    std::signal(SIGINT, before_int_);
    std::signal(SIGTERM, before_term_);
  }

  static bool requested() { return flag() != 0; }

 private:
  static volatile std::sig_atomic_t& flag() {
    static volatile std::sig_atomic_t value = 0;
    return value;
  }
  static void raise_flag(int signal) {
    flag() = 1;
    std::signal(signal, SIG_DFL);
  }

  void (*before_int_)(int);
  void (*before_term_)(int);
};

}  // namespace formwork
