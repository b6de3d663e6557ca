// SPDX-License-Identifier: MIT
//
// Trains a causal language model on the bytes of a text and lets it continue one.
//
// The claim to check: attention with rotary positions, in pre-norm blocks with a gated feed-forward part, learns more from a
// minute of a plain CPU than counting pairs of letters can: its validation loss ends below the text's bigram entropy.
#include <formwork/formwork.hpp>
#include <formwork/io.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "support/command_line.hpp"

namespace fw = formwork;
using fw::Index;

// The model: what it is stands in these lines, how large it is in the settings.
using attention = fw::attention<float, fw::causal, fw::rope<>>;
using layer = fw::block<float, fw::pre_norm<fw::rms_norm>, attention, fw::gated_mlp<float, fw::silu>>;
using model_type = fw::language_model<float, layer>;

namespace {

/// What a run is made of beside its weights: everything that decides the next step, and so everything a checkpoint holds.
struct run {
  Index width = 192, depth = 4, heads = 6, window = 128, batch = 16, steps = 600, warm_up = 50;
  double rate = 3e-3, last_rate = 0.05, weight_decay = 0.1, clip = 1, held_out = 0.1;
  std::uint64_t seed = 1, text_hash = 0;
  Index step = 0;
  fw::rng data{0};
  std::vector<double> training_loss, validated_at, validation_loss;

  template <class R>
  static auto fields(R& r) {
    return fw::fields("width", r.width, "depth", r.depth, "heads", r.heads, "window", r.window, "batch", r.batch, "steps", r.steps,
                      "warm_up", r.warm_up, "rate", r.rate, "last_rate", r.last_rate, "weight_decay", r.weight_decay, "clip",
                      r.clip, "held_out", r.held_out, "seed", r.seed, "text_hash", r.text_hash, "step", r.step, "data", r.data,
                      "training_loss", r.training_loss, "validated_at", r.validated_at, "validation_loss", r.validation_loss);
  }
};

/// What only this call decides.
struct call {
  std::vector<std::string> text;
  std::string save = "language_model.safetensors", resume, prompt;
  Index evaluate_every = 100, save_every = 0, sample = 400, stop_at = 0;
  int threads = 0;
  fw::sampler draw{.temperature = 0.8, .top_k = 0, .top_p = 0.95};
};

void add_options(CLI::App& app, run& r, call& c) {
  const auto positive = CLI::Range(Index(1), Index(1) << 40), count = CLI::Range(Index(0), Index(1) << 40);
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  app.add_option("--text", c.text, "files to learn from; default: this library's own headers and README")
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  app.add_option("--save", c.save, "where the model goes; the loss curve goes beside it as .csv and .svg")->capture_default_str();
  auto* resume = app.add_option("--resume", c.resume, "continue, bit for bit, a run that was saved");
  const auto of_the_run = [&](const char* name, auto& value, const char* help, const CLI::Validator& check) {
    app.add_option(name, value, help)->check(check)->capture_default_str()->excludes(resume);
  };
  of_the_run("--width", r.width, "columns of the residual stream", positive);
  of_the_run("--depth", r.depth, "blocks", positive);
  of_the_run("--heads", r.heads, "heads; must divide the width", positive);
  of_the_run("--window", r.window, "bytes of a training sequence", positive);
  of_the_run("--batch", r.batch, "sequences a step", positive);
  of_the_run("--steps", r.steps, "training steps", count);
  of_the_run("--warm-up", r.warm_up, "steps until the peak rate", count);
  of_the_run("--rate", r.rate, "peak learning rate of AdamW", CLI::Range(0.0, 10.0));
  of_the_run("--last-rate", r.last_rate, "what is left of it at the end of the cosine", CLI::Range(0.0, 1.0));
  of_the_run("--weight-decay", r.weight_decay, "of AdamW", CLI::Range(0.0, 10.0));
  of_the_run("--seed", r.seed, "of everything random", count);
  app.add_option("--stop-at", c.stop_at, "save and stop after this step; 0: at the end")->check(count);
  app.add_option("--save-every", c.save_every, "steps between saves, each over the last: what a crash can lose; 0: only at the end")
      ->check(count);
  app.add_option("--evaluate-every", c.evaluate_every, "steps between validations")->check(positive)->capture_default_str();
  app.add_option("--threads", c.threads, "0: all cores")->check(CLI::Range(0, 1024))->capture_default_str();
  app.add_option("--prompt", c.prompt, "what the sample continues; default: the start of the held-out text");
  app.add_option("--sample", c.sample, "bytes to generate")->check(CLI::Range(Index(0), Index(1) << 20))->capture_default_str();
  app.add_option("--temperature", c.draw.temperature, "0: always the likeliest byte")
      ->check(CLI::Range(0.0, 100.0))
      ->capture_default_str();
  app.add_option("--top-k", c.draw.top_k, "draw from the k likeliest; 0: all")->check(count)->capture_default_str();
  app.add_option("--top-p", c.draw.top_p, "draw from the likeliest that make up p")
      ->check(CLI::Range(1e-9, 1.0))
      ->capture_default_str();
}

/// Mean loss over the held-out text, in nats per byte.
double validate(const model_type& model, const fw::byte_text& text, const run& r) {
  fw::tape<float> quiet{fw::recording::off};
  fw::training_batch batch;
  double total = 0, bytes = 0;
  for (Index first = 0; text.held_out_windows(first, r.batch, r.window, batch); first += r.batch) {
    const auto count = static_cast<double>(batch.target.size());
    total += count * static_cast<double>(fw::cross_entropy(model(quiet, batch.input), batch.target).item());
    bytes += count;
  }
  return total / bytes;
}

/// Operations of one training step: 6 per multiplied weight and token, and 3.5 forward passes of attention's visible half.
double flops_of_a_step(const model_type& model, const run& r) {
  const auto tokens = static_cast<double>(r.batch * r.window);
  const auto multiplied = static_cast<double>(fw::parameter_count(model) - model.embed.table.size());
  return tokens * (6 * multiplied + 7 * static_cast<double>(r.depth * r.width * (r.window + 1)));
}

fw::chart curve_of(const run& r, double bigrams) {
  fw::chart c{.title = "Loss while training", .x = "step", .y = "nats per byte", .marks = {{"bigram entropy", bigrams}}};
  for (std::size_t i = 0; i < r.training_loss.size(); ++i) c.add("training", static_cast<double>(i + 1), r.training_loss[i]);
  for (std::size_t i = 0; i < r.validated_at.size(); ++i) c.add("validation", r.validated_at[i], r.validation_loss[i]);
  return c;
}

void train(run& r, const call& c, const fw::byte_text& text, model_type& model, fw::optimizer<fw::adamw>& optimizer) {
  const double peak = std::max(fw::fma_peak<float>(), fw::fma_peak<float>()), flops = flops_of_a_step(model, r);
  const fw::schedule rate{.warm_up = std::min(r.warm_up, r.steps), .total = r.steps, .last = r.last_rate};
  const Index end = c.stop_at > 0 ? std::min(c.stop_at, r.steps) : r.steps;
  fw::tape<float> tape{{.seed = r.seed, .step = static_cast<std::uint64_t>(r.step)}};
  fw::training_batch batch;
  fw::progress line(r.step, r.steps);
  const fw::interrupt on_signal;
  double smooth = 0, seconds = 0;
  const Index first = r.step;
  while (r.step < end && !fw::interrupt::requested()) {
    const auto begin = std::chrono::steady_clock::now();
    text.draw(r.batch, r.window, r.data, batch);
    const auto loss = fw::cross_entropy(model(tape, batch.input), batch.target);
    tape.backward(loss);
    fw::clip_by_global_norm(model, r.clip);
    optimizer.step(model, rate(r.step));
    seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    const auto now = static_cast<double>(loss.item());
    r.training_loss.push_back(now);
    smooth = r.step == first ? now : 0.95 * smooth + 0.05 * now;
    ++r.step;
    if (r.step % c.evaluate_every == 0 || r.step == r.steps) {
      r.validated_at.push_back(static_cast<double>(r.step));
      r.validation_loss.push_back(validate(model, text, r));
      line.say(fw::text("step ", r.step, ": validation loss ", support::rounded(r.validation_loss.back(), 4)));
    }
    if (c.save_every > 0 && r.step % c.save_every == 0 && !c.save.empty()) fw::save_checkpoint(c.save, model, optimizer, r);
    const double made = static_cast<double>(r.step - first) / seconds;
    line.update(r.step, fw::text("loss ", support::rounded(smooth, 3), "  ",
                                 support::rounded(made * static_cast<double>(r.batch * r.window) / 1000, 1), " k tokens/s  ",
                                 support::rounded(100 * made * flops / peak, 0), " % of peak"));
  }
}

int start(run r, const call& c) {
  if (c.threads > 0) fw::threads(c.threads);
  if (!c.save.empty()) fw::require_writable(c.save);
  const std::string bytes = c.text.empty() ? support::own_sources() : support::read_texts(c.text);
  const std::uint64_t hash = support::hash_of(bytes);
  if (!c.resume.empty()) {
    fw::load_state(c.resume, r);
    fw::require<fw::file_error>(r.text_hash == hash, "resume: ", c.resume, " learned from another text; needs the same --text");
  }
  r.text_hash = hash;
  const fw::byte_text text(bytes, r.held_out);
  fw::require(text.training_size() > r.window && text.size() - text.training_size() > r.window, "text: it has ", text.size(),
              " bytes; needs at least ", static_cast<Index>(static_cast<double>(r.window + 2) / r.held_out),
              " for a window of ", r.window, " in its held-out part");

  fw::rng weights{r.seed};
  if (c.resume.empty()) r.data = fw::rng{r.seed, 1};
  auto model = model_type::make({.vocab = fw::byte_text::vocab, .width = r.width, .depth = r.depth, .heads = r.heads}, weights);
  fw::optimizer optimizer(fw::otherwise(fw::adamw{.rate = r.rate, .beta2 = 0.98, .weight_decay = r.weight_decay}));
  if (!c.resume.empty()) fw::load_checkpoint(c.resume, model, optimizer, r);

  const double bigrams = text.bigram_entropy();
  std::printf("formwork %s, %d threads; %lld parameters; text of %lld bytes, the last %.0f %% held out\n", fw::simd_name,
              fw::threads(), static_cast<long long>(fw::parameter_count(model)), static_cast<long long>(text.size()),
              100 * r.held_out);
  std::printf("%s %lld to %lld on windows of %lld bytes, %lld at a time\n", r.step > 0 ? "Resuming: steps" : "Training: steps",
              static_cast<long long>(r.step + 1), static_cast<long long>(r.steps), static_cast<long long>(r.window),
              static_cast<long long>(r.batch));
  std::fflush(stdout);

  train(r, c, text, model, optimizer);
  if (!c.save.empty()) {
    fw::save_checkpoint(c.save, model, optimizer, r);
    const fw::chart curve = curve_of(r, bigrams);
    const auto beside = [&](const char* extension) { return std::filesystem::path(c.save).replace_extension(extension).string(); };
    fw::save_text(beside(".csv"), curve.csv());
    fw::save_text(beside(".svg"), curve.svg());
    std::printf("Saved %s, %s and %s\n", c.save.c_str(), beside(".csv").c_str(), beside(".svg").c_str());
  }
  if (r.step < r.steps) {
    std::printf("Stopped after step %lld of %lld; --resume %s continues\n", static_cast<long long>(r.step),
                static_cast<long long>(r.steps), c.save.c_str());
    return 0;
  }
  if (!r.validation_loss.empty()) {
    const double reached = r.validation_loss.back();
    std::printf("Validation loss %.4f nats per byte (%.3f bits); bigram entropy of the text %.4f: the model %s counting pairs\n",
                reached, reached / std::log(2.0), bigrams, reached < bigrams ? "beats" : "does not beat");
  }

  const std::string prompt = c.prompt.empty() ? std::string(text.held_out().substr(0, static_cast<std::size_t>(r.window) / 2)) : c.prompt;
  fw::rng drawing{r.seed, 2};
  std::printf("--- %s, then what the model writes:\n%s|", c.prompt.empty() ? "the held-out text" : "the prompt", prompt.c_str());
  fw::generate(model, fw::byte_text::tokens_of(prompt), c.draw, drawing, {.count = c.sample}, [](Index byte) {
    const bool shows = byte == '\n' || byte == '\t' || (byte >= ' ' && byte != 127);
    std::putchar(shows ? static_cast<int>(byte) : '?');
    std::fflush(stdout);
  });
  std::printf("\n");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  run r;
  call c;
  CLI::App app{"Trains a causal byte-level language model on text, validates it on the last tenth, and lets it write."};
  add_options(app, r, c);
  return support::run(app, argc, argv, [&] { return start(r, c); });
}
