// SPDX-License-Identifier: MIT
// Any bytes are a safetensors file or refused in one line; what is taken can be read as every type, and what it says is the
// same after its header was written and read again.
#include "fuzz/fuzz.hpp"

namespace fw = formwork;

std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed) {
  return fuzz::mutate(data, size, most, seed);
}

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::taken([&] {
    const auto file = fw::safetensors_file::of({reinterpret_cast<const std::byte*>(data), size}, "input");
    std::uint64_t bytes = 0;
    for (const auto& one : file.entries()) {
      const auto narrow = file.read<float>(one.name);
      const auto wide = file.read<double>(one.name);
      fuzz::demand(narrow.size() == one.count() && wide.size() == one.count(), "a tensor has all its numbers");
      fuzz::taken([&] { (void)file.read_integers<std::int64_t>(one.name); });
      fuzz::taken([&] { (void)file.read_integers<std::uint8_t>(one.name); });
      bytes += one.end - one.begin;
    }
    fuzz::demand(bytes < size, "the tensors lie inside the file");

    const fw::safetensors_header again = fw::safetensors_header::parse(
        file.site(), fw::safetensors_header{file.entries(), file.metadata()}.json(), bytes);
    fuzz::demand(again.metadata == file.metadata(), "metadata is written as it was read");
    fuzz::demand(again.entries.size() == file.entries().size(), "every tensor is written");
    for (const auto& one : again.entries) {
      const auto& was = file.entry(one.name);
      fuzz::demand(one.type == was.type && one.shape == was.shape && one.begin == was.begin && one.end == was.end,
                   "a tensor is written as it was read");
    }
  });
  return 0;
}
