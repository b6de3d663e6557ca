// SPDX-License-Identifier: MIT
//
// Reads a GPT-2 or a Llama of Hugging Face's transformers, scores the tokens it is given and continues them greedily.
//
//   python3 examples/convert_huggingface.py gpt2/ gpt2.formwork.safetensors
//   build/release/examples/09_huggingface gpt2.formwork.safetensors --tokens 464 3290 318 --count 20
//
// The claim to check: the lists of policies below are these models. In double their scores and every gradient are PyTorch's to
// 1e-10 (tests/golden/huggingface_test.cpp). Tokens are ids: texts are the tokenizer's work, which is not here.
#include <formwork/formwork.hpp>
#include <formwork/io.hpp>

#include <algorithm>
#include <cstdio>
#include <sstream>
#include <string>
#include <vector>

#include "support/command_line.hpp"

namespace fw = formwork;
using fw::Index;

using gpt2_layer =
    fw::block<float, fw::pre_norm<fw::layer_norm>, fw::attention<float, fw::causal>, fw::mlp<float, fw::gelu_tanh>>;
using gpt2 = fw::language_model<float, fw::learned<float>, gpt2_layer>;

using llama_attention = fw::attention<float, fw::causal, fw::rope<>, fw::grouped>;
using llama_layer = fw::block<float, fw::pre_norm<fw::rms_norm>, llama_attention, fw::gated_mlp<float, fw::silu>>;
using llama = fw::language_model<float, llama_layer>;

namespace {

struct call {
  std::string model, scores;
  std::vector<Index> tokens;
  Index count = 20, top = 5;
  int threads = 0;
};

/// What convert_huggingface.py says about a model in the metadata of its file.
class description {
 public:
  explicit description(const std::string& path) : file_(fw::safetensors_file::read(path, "model")) {}

  std::string word(const std::string& key) const {
    const auto found = file_.metadata().find("model." + key);
    file_.site().needs(found != file_.metadata().end(), "says no model.", key, "; needs a file of convert_huggingface.py");
    return found->second;
  }
  void expect(const std::string& key, const std::string& needed) const {
    file_.site().needs(word(key) == needed, "says model.", key, " is ", fw::one_line(word(key)), "; needs ", needed);
  }
  double number(const std::string& key) const {
    double value = 0;
    std::istringstream in(word(key));
    file_.site().needs(in >> value && in.eof() && value > 0, "says model.", key, " is ", fw::one_line(word(key)),
                       "; needs a number above 0");
    return value;
  }
  Index size(const std::string& key) const {
    const double value = number(key);
    file_.site().needs(value <= 1e8 && value == static_cast<double>(static_cast<Index>(value)), "says model.", key, " is ",
                       value, "; needs a whole number up to 1e8");
    return static_cast<Index>(value);
  }
  fw::sizes sizes(fw::biases bias) const {
    return {.vocab = size("vocab"),
            .width = size("width"),
            .depth = size("depth"),
            .heads = size("heads"),
            .key_heads = size("key_heads"),
            .key_width = size("key_width"),
            .head_width = size("key_width"),
            .hidden = size("hidden"),
            .bias = bias,
            .head = word("head") == "tied" ? fw::tying::tied : fw::tying::own};
  }

 private:
  fw::safetensors_file file_;
};

void print_likeliest(fw::view<const float> scores, Index top) {
  std::vector<Index> order;
  for (Index id = 0; id < scores.cols(); ++id) order.push_back(id);
  const Index shown = std::min(top, scores.cols());
  std::partial_sort(order.begin(), order.begin() + shown, order.end(),
                    [&](Index a, Index b) { return scores(0, a) != scores(0, b) ? scores(0, a) > scores(0, b) : a < b; });
  std::printf("Likeliest next tokens and their logits:");
  for (Index i = 0; i < shown; ++i) {
    const Index id = order[static_cast<std::size_t>(i)];
    std::printf("%s %lld (%.6g)", i > 0 ? "," : "", static_cast<long long>(id), static_cast<double>(scores(0, id)));
  }
  std::printf("\n");
}

template <class Model, class... Value>
int answer(const call& c, const fw::sizes& sizes, const Value&... value) {
  fw::rng random{1};
  auto model = Model::make(sizes, random, value...);
  fw::load_model(c.model, model);
  std::printf("formwork %s, %d threads; %lld parameters: vocab %lld, width %lld, depth %lld, heads %lld\n", fw::simd_name,
              fw::threads(), static_cast<long long>(fw::parameter_count(model)), static_cast<long long>(sizes.vocab),
              static_cast<long long>(sizes.width), static_cast<long long>(sizes.depth), static_cast<long long>(sizes.heads));

  fw::tape<float> quiet{fw::recording::off};
  const fw::var<float> scores = model(quiet, fw::tokens(c.tokens)).value();
  print_likeliest(scores.value().rows(scores.rows() - 1, 1), c.top);
  if (!c.scores.empty()) {
    fw::safetensors_writer out;
    out.add("logits", scores.value());
    out.save(c.scores, "scores");
  }
  std::printf("Continued greedily:");
  fw::generate(model, c.tokens, fw::sampler{.temperature = 0}, random, {.count = c.count}, [](Index id) {
    std::printf(" %lld", static_cast<long long>(id));
    std::fflush(stdout);
  });
  std::printf("\n");
  return 0;
}

int start(const call& c) {
  if (c.threads > 0) fw::threads(c.threads);
  const description d(c.model);
  if (d.word("architecture") == "gpt2") {
    d.expect("activation", "gelu_tanh");
    const Index positions = d.size("positions"), needed = static_cast<Index>(c.tokens.size()) + c.count;
    fw::require(needed <= positions + 1, "tokens: ", c.tokens.size(), " and ", c.count, " more are ", needed,
                " but the model has ", positions, " positions; needs fewer");
    return answer<gpt2>(c, d.sizes(fw::biases::all), fw::learned<float>{.longest = positions},
                        fw::layer_norm<float>{.epsilon = d.number("epsilon")});
  }
  d.expect("architecture", "llama");
  d.expect("activation", "silu");
  return answer<llama>(c, d.sizes(fw::biases::none), fw::rope<>{.base = d.number("base")},
                       fw::rms_norm<float>{.epsilon = d.number("epsilon")});
}

}  // namespace

int main(int argc, char** argv) {
  call c;
  CLI::App app{"Scores tokens by a GPT-2 or Llama converted by convert_huggingface.py, and continues them greedily."};
  const auto count = CLI::Range(Index(0), Index(1) << 40);
  app.add_option("model", c.model, "a file of convert_huggingface.py")->required();
  app.add_option("--tokens", c.tokens, "ids of the text's tokens")->required()->check(count);
  app.add_option("--count", c.count, "tokens to continue by")
      ->check(CLI::Range(Index(0), Index(1) << 20))
      ->capture_default_str();
  app.add_option("--top", c.top, "likeliest next tokens to show")->check(count)->capture_default_str();
  app.add_option("--scores", c.scores, "file for the logits after every token, a safetensors tensor (tokens x vocab)");
  app.add_option("--threads", c.threads, "0: all cores")->check(CLI::Range(0, 1024))->capture_default_str();
  return support::run(app, argc, argv, [&] { return start(c); });
}
