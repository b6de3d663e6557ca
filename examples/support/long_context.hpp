// SPDX-License-Identifier: MIT
#pragma once
#include "support/study.hpp"

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

/// What the studies share that train on short windows and test on longer ones.
namespace support {

/// How many training lengths the windows of the tests have.
inline constexpr Index multiples[] = {1, 2, 4, 8};
inline constexpr Index longest_multiple = 8;

/// A loss or an entropy by a length.
using by_length = std::map<Index, double>;

struct long_context_settings {
  std::vector<std::string> text;
  std::string out;
  Index width = 64, depth = 3, heads = 1, window = 128, batch = 8, steps = 1000, warm_up = 40;
  Index trainings = 3, tests = 64, seed = 1;
  double rate = 4e-3;
  int threads = 0;
  bool quick = false;
};

inline void add_options(CLI::App& app, long_context_settings& s) {
  const auto positive = CLI::Range(Index(1), Index(1) << 30);
  app.add_option("--text", s.text, "files to learn from; default: this library's own headers and README");
  app.add_option("--out", s.out, "start of the names of the pictures and tables")->capture_default_str();
  app.add_option("--width", s.width, "columns of the residual stream")->check(positive)->capture_default_str();
  app.add_option("--depth", s.depth, "layers")->check(positive)->capture_default_str();
  app.add_option("--heads", s.heads, "heads; must divide the width")->check(positive)->capture_default_str();
  app.add_option("--window", s.window, "bytes of a training sequence, at least 4")
      ->check(CLI::Range(Index(4), Index(1) << 20))
      ->capture_default_str();
  app.add_option("--batch", s.batch, "sequences a step")->check(positive)->capture_default_str();
  app.add_option("--steps", s.steps, "training steps of each model")->check(positive)->capture_default_str();
  app.add_option("--trainings", s.trainings, "trainings of each model; their results are averaged")
      ->check(positive)
      ->capture_default_str();
  app.add_option("--rate", s.rate, "peak learning rate of AdamW")->check(CLI::Range(0.0, 10.0))->capture_default_str();
  app.add_option("--tests", s.tests, "places of the held-out text where long windows are tested")
      ->check(positive)
      ->capture_default_str();
  app.add_option("--seed", s.seed, "of everything random")->check(CLI::Range(Index(0), Index(1) << 40))->capture_default_str();
  app.add_option("--threads", s.threads, "0: all cores")->check(CLI::Range(0, 1024))->capture_default_str();
  app.add_flag("--quick", s.quick, "a few steps: seconds instead of minutes");
}

/// The text, long enough for the tests.
inline fw::byte_text long_text_of(const long_context_settings& s) {
  const fw::byte_text text = text_of(s.text);
  const Index needed = longest_multiple * s.window, held_out = text.size() - text.training_size();
  fw::require(held_out > needed, "text: its held-out part has ", held_out, " bytes; needs more than ", needed, ", ",
              longest_multiple, " training windows");
  return text;
}

inline void make_quick(long_context_settings& s) {
  s.steps = std::min<Index>(s.steps, 20), s.tests = std::min<Index>(s.tests, 8), s.trainings = 1;
}

inline void print_setting(const long_context_settings& s, const fw::byte_text& text) {
  const std::string line =
      fw::text("formwork ", fw::simd_name, ", ", fw::threads(), " threads; ", s.trainings, " trainings of each model, ", s.depth,
               " layers of width ", s.width, ", ", s.steps, " steps of ", s.batch, " × ", s.window, " bytes of ", text.size());
  std::printf("%s\n", line.c_str());
  std::fflush(stdout);
}

inline fw::sizes sizes_of(const long_context_settings& s) {
  return {.vocab = fw::byte_text::vocab, .width = s.width, .depth = s.depth, .heads = s.heads};
}

/// Calls use(model) with each of the models that make(rng) gives, trained on windows of the training length. They differ in
/// their seed; models of one seed and one shape start alike, and all see the same text.
template <class Make, class Use>
void each_trained(const std::string& name, const long_context_settings& s, const fw::byte_text& text, Make make, Use use) {
  for (Index i = 0; i < s.trainings; ++i) {
    fw::rng weights{static_cast<std::uint64_t>(s.seed + i)}, data{static_cast<std::uint64_t>(s.seed + i), 1};
    auto model = make(weights);
    fw::optimizer optimizer(fw::otherwise(fw::adamw{.rate = s.rate, .beta2 = 0.98}));
    const fw::schedule rate{.warm_up = std::min(s.warm_up, s.steps), .total = s.steps, .last = 0.1};
    fw::tape<float> tape;
    fw::training_batch batch;
    fw::progress line(0, s.steps);
    for (Index step = 0; step < s.steps; ++step) {
      text.draw(s.batch, s.window, data, batch);
      const double loss = train_step(model, optimizer, tape, batch, rate(step));
      line.update(step + 1, fw::text(name, ", ", i + 1, " of ", s.trainings, "  loss ", rounded(loss, 3)));
    }
    use(model);
  }
}

/// `count` windows of `length` bytes that end before end, end + stride, ... Only the last `counted` bytes of each have a
/// target.
inline fw::training_batch windows_before(std::string_view text, Index end, Index stride, Index count, Index length,
                                         Index counted) {
  fw::training_batch r;
  r.input.batch = fw::sequences::equal(count, length);
  for (Index w = 0; w < count; ++w) {
    const Index begin = end + w * stride - length;
    for (Index i = 0; i < length; ++i) {
      const auto at = static_cast<std::size_t>(begin + i);
      r.input.ids.push_back(static_cast<unsigned char>(text[at]));
      r.target.push_back(i < length - counted ? -1 : static_cast<Index>(static_cast<unsigned char>(text[at + 1])));
    }
  }
  return r;
}

/// Loss of the same held-out bytes whatever the multiple, in nats per byte: those of the last training length of windows that
/// are so many training lengths long. What grows is the context, and the distances in it.
template <class Model>
double loss_in_context(const Model& model, const long_context_settings& s, const fw::byte_text& text, Index multiple) {
  const std::string_view held_out = text.held_out();
  const Index longest = longest_multiple * s.window, room = static_cast<Index>(held_out.size()) - 1 - longest;
  const Index places = std::min(s.tests, room / s.window + 1), stride = places > 1 ? room / (places - 1) : 0;
  const Index together = std::max<Index>(1, 8192 / (multiple * s.window));
  fw::tape<float> quiet{fw::recording::off};
  double total = 0;
  for (Index w = 0; w < places; w += together) {
    const Index count = std::min(together, places - w);
    const auto some = windows_before(held_out, longest + w * stride, stride, count, multiple * s.window, s.window);
    total += static_cast<double>(count) * static_cast<double>(fw::cross_entropy(model(quiet, some.input), some.target).item());
  }
  return total / static_cast<double>(places);
}

/// The mean loss at the multiples above 1.
inline double beyond(const by_length& loss) {
  double total = 0;
  for (const auto& [multiple, at] : loss) total += multiple > 1 ? at : 0;
  return total / static_cast<double>(loss.size() - 1);
}

inline void print_header(const std::string& title, const std::string& what, const by_length& columns) {
  std::printf("\n%s\n%-20s", title.c_str(), what.c_str());
  for (const auto& [n, value] : columns) std::printf("%8lld", static_cast<long long>(n));
  std::printf("\n");
}
inline void print_row(const std::string& name, const by_length& values, const std::string& note = {}) {
  std::printf("%-20s", name.c_str());
  for (const auto& [n, value] : values) std::printf("%8.3f", value);
  std::printf("%s\n", note.c_str());
}

inline fw::chart chart_of_losses(const std::string& which, const fw::byte_text& text) {
  return {.title = "Loss of the same bytes in a longer context" + which, .x = "training lengths", .y = "nats per byte",
          .marks = {{"bigram entropy", text.bigram_entropy()}}};
}

}  // namespace support
