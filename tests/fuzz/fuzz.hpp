// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/io/safetensors.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

// What libFuzzer calls and offers.
extern "C" {
int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed);
std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t most);
}

namespace fuzz {

/// Ends the process, which libFuzzer reports with the input.
inline void demand(bool holds, std::string_view what) {
  if (holds) return;
  std::fprintf(stderr, "broken promise: %.*s\n", static_cast<int>(what.size()), what.data());
  std::abort();
}

/// The first promise about any bytes: they are taken, or refused by one short line that names the file. Returns whether taken.
template <class Read>
bool taken(Read&& read) {
  try {
    read();
    return true;
  } catch (const formwork::file_error& e) {
    const std::string_view message = e.what();
    demand(message.find(": input: ") != message.npos, "an error names the operation and the file");
    demand(message.find_first_of(std::string_view("\0\n\r", 3)) == message.npos, "an error is one line");
    demand(message.size() < 2000, "an error is short");
    return false;
  }
}

/// libFuzzer's changes, after most of which the first 8 bytes say again where the header ends: otherwise nearly every input
/// would be refused by them alone.
inline std::size_t mutate(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed) {
  size = LLVMFuzzerMutate(data, size, most);
  if (size <= 8 || seed % 8 == 0) return size;
  const std::string_view rest(reinterpret_cast<const char*>(data) + 8, size - 8);
  std::size_t end = rest.rfind("}}");
  end = end == rest.npos ? rest.size() : std::min(rest.size(), end + 2);
  while (end < rest.size() && rest[end] == ' ') ++end;
  const std::uint64_t length = end;
  std::memcpy(data, &length, 8);
  return size;
}

}  // namespace fuzz
