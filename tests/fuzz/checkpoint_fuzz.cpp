// SPDX-License-Identifier: MIT
// Any bytes are a checkpoint of the run below or refused in one line, and then model, optimizer and values are as they were.
// The corpus starts from a checkpoint that the program saves itself.
#include <formwork/io/checkpoint.hpp>
#include <formwork/loss/logits.hpp>
#include <formwork/optim/adamw.hpp>
#include <formwork/optim/optimizer.hpp>

#include <unistd.h>

#include <filesystem>
#include <vector>

#include "fuzz/fuzz.hpp"

namespace fw = formwork;
using fw::Index;

namespace {

/// The smallest model of tokens that has a matrix and a vector.
struct toy {
  using scalar = float;
  fw::sizes sizes;
  fw::embedding<float> embed;
  fw::parameter<float> gain, head;

  static toy make(std::uint64_t seed) {
    const fw::sizes sizes{.vocab = 3, .width = 1};
    fw::rng random(seed);
    const fw::builder b{.sizes = sizes, .random = random};
    return {sizes, fw::embedding<float>::make(b), b.constant<float>(1, float(seed), fw::role::gain),
            b.normal<float>(1, 3, 1, fw::role::head)};
  }
  fw::logits<float> operator()(fw::tape<float>& t, const fw::tokens& x) const {
    return fw::logits<float>::by_weight(embed(t, x), head);
  }
  template <class M>
  static auto fields(M& m) {
    return fw::fields("embed", m.embed, "gain", m.gain, "head", m.head);
  }
};

struct run {
  toy model;
  fw::optimizer<fw::adamw> optimizer{fw::otherwise(fw::adamw{})};
  struct values {
    Index step = 3;
    fw::rng data{5};
    std::vector<double> losses{1, 2};
    std::vector<std::string> notes{"a", "bc"};
    template <class M>
    static auto fields(M& m) {
      return fw::fields("step", m.step, "data", m.data, "losses", m.losses, "notes", m.notes);
    }
  } state = {};

  /// Everything a load may change.
  std::vector<double> numbers() {
    std::vector<double> all{double(state.step), double(state.data.save().next), double(state.notes.size()),
                            double(optimizer.steps())};
    const auto append = [&all](const auto& m) { all.insert(all.end(), m.data(), m.data() + m.size()); };
    fw::for_each_parameter(model, [&](const auto& p) { append(p.value()); });
    append(state.losses);
    optimizer.for_each_state([&](const std::string&, const auto& m) { append(m); },
                             [&](const std::string&, const Index& n) { all.push_back(double(n)); });
    return all;
  }
};

run prepared(std::uint64_t seed) {
  run r{toy::make(seed)};
  r.optimizer.prepare(r.model);
  return r;
}

const std::string& seed_file() {
  static const std::string bytes = [] {
    const std::string path = std::filesystem::temp_directory_path() / fw::text("formwork-fuzz-", ::getpid());
    run r = prepared(1);
    fw::save_checkpoint(path, r.model, r.optimizer, r.state);
    const std::string all = fw::read_text(path);
    std::filesystem::remove(path);
    return all;
  }();
  return bytes;
}

}  // namespace

std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed) {
  if (size < 10 && most >= seed_file().size()) {
    size = seed_file().size();
    std::memcpy(data, seed_file().data(), size);
  }
  return fuzz::mutate(data, size, most, seed);
}

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static run mine = prepared(2);
  static const run untouched = mine;
  static const std::vector<double> before = mine.numbers();
  fuzz::taken([&] {
    const auto file = fw::safetensors_file::of({reinterpret_cast<const std::byte*>(data), size}, "input");
    const auto loads = [](auto&& load) {
      if (fuzz::taken(load))
        mine = untouched;
      else
        fuzz::demand(mine.numbers() == before, "what is refused changes nothing");
    };
    loads([&] { fw::load_checkpoint(file, mine.model, mine.optimizer, mine.state); });
    loads([&] { fw::load_model(file, mine.model); });
    loads([&] { fw::load_state(file, mine.state); });
  });
  return 0;
}
