// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/abi.hpp>

#include <sstream>
#include <stdexcept>
#include <string>

namespace formwork::inline FORMWORK_ABI {

/// Every exception of the library. The message names the operation, what it got and what it needed:
/// `linear: x is (64 × 32) but weight is (48 × 96); needs x.width = weight.in`.
struct error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// A wrong shape, size, index or value given by the caller.
struct argument_error : error {
  using error::error;
};

/// A number that training cannot continue from: a loss or a gradient that is not finite.
struct numeric_error : error {
  using error::error;
};

/// A file that is missing, malformed, foreign, or could not be written.
struct file_error : error {
  using error::error;
};

/// Joins its parts as operator<< prints them.
template <class... Part>
std::string text(const Part&... part) {
  std::ostringstream out;
  (out << ... << part);
  return out.str();
}

/// "(64 × 32)" for anything with rows and cols.
template <class M>
std::string shape_text(const M& m) {
  return text("(", m.rows(), " × ", m.cols(), ")");
}

/// Throws Error with the joined parts unless the condition holds. The parts are only printed on failure.
template <class Error = argument_error, class... Part>
void require(bool holds, const Part&... part) {
  if (!holds) [[unlikely]]
    throw Error(text(part...));
}

}  // namespace formwork
