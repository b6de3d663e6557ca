// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/formwork.hpp>

#include "support/command_line.hpp"

#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

/// What the examples that put a claim to the test have in common: a text, validation, pictures and a verdict.
namespace support {

namespace fw = formwork;
using fw::Index;

/// The text given, or the project's own.
inline fw::byte_text text_of(const std::vector<std::string>& paths, double held_out = 0.1) {
  return fw::byte_text(paths.empty() ? own_sources() : read_texts(paths), held_out);
}

/// Mean loss over the held-out text in windows of `window` bytes, `batch` at a time, in nats per byte. At most `most` windows,
/// spread evenly; 0: all.
template <class Model>
double validate(const Model& model, const fw::byte_text& text, Index window, Index batch, Index most = 0) {
  fw::tape<typename Model::scalar> quiet{fw::recording::off};
  fw::training_batch some;
  double total = 0, bytes = 0;
  const Index there = (text.size() - text.training_size() - 1) / window;
  const Index batches = most > 0 ? (std::min(most, there) + batch - 1) / batch : (there + batch - 1) / batch;
  for (Index b = 0; b < batches; ++b) {
    const Index first = most > 0 ? (there - std::min(batch, there)) * b / std::max<Index>(batches - 1, 1) : b * batch;
    if (!text.held_out_windows(first, batch, window, some)) break;
    const auto count = static_cast<double>(some.target.size());
    total += count * static_cast<double>(fw::cross_entropy(model(quiet, some.input), some.target).item());
    bytes += count;
  }
  return total / bytes;
}

/// One update on random windows of the text: its loss.
template <class Model, class Optimizer>
double train_step(Model& model, Optimizer& optimizer, fw::tape<typename Model::scalar>& tape, const fw::training_batch& batch,
                  double rate_factor = 1, double clip = 1) {
  const auto loss = fw::cross_entropy(model(tape, batch.input), batch.target);
  tape.backward(loss);
  fw::clip_by_global_norm(model, clip);
  optimizer.step(model, rate_factor);
  return static_cast<double>(loss.item());
}

/// Saves a chart as <path>.csv and <path>.svg, and says so.
inline void save_chart(const std::string& path, const fw::chart& drawn) {
  fw::save_text(path + ".csv", drawn.csv());
  fw::save_text(path + ".svg", drawn.svg());
  std::printf("Saved %s.csv and %s.svg\n", path.c_str(), path.c_str());
}

/// A claim, what was measured, and whether it holds here: a negative result is one too.
inline void verdict(const std::string& claim, const std::string& measured, bool holds) {
  std::printf("Claim     %s\nMeasured  %s\nVerdict   %s\n\n", claim.c_str(), measured.c_str(), holds ? "holds here" : "does not hold here");
}

}  // namespace support
