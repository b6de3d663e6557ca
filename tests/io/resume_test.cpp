// SPDX-License-Identifier: MIT
#include <formwork/formwork.hpp>
#include <formwork/io/checkpoint.hpp>

#include "io/scratch_folder.hpp"
#include "model/small_models.hpp"
#include "support/catch.hpp"

namespace fw = formwork;
using fw::Index;

namespace {

/// A run as a program holds it: values that are saved, and what is made from them.
template <class Model>
struct run {
  Model model;
  fw::optimizer<fw::muon, fw::adamw> optimizer{fw::when(fw::role::matrix, fw::muon{.weight_decay = 0.1}),
                                               fw::otherwise(fw::adamw{.rate = 1e-2})};
  struct values {
    fw::rng data{5};
    Index step = 0;
    std::vector<double> losses = {};
    template <class M>
    static auto fields(M& m) {
      return fw::fields("data", m.data, "step", m.step, "losses", m.losses);
    }
  } state = {};

  void train(Index steps) {
    const fw::schedule rate{.warm_up = 2, .total = 8};
    fw::tape<float> tape{{.seed = 1, .step = static_cast<std::uint64_t>(state.step)}};
    for (; state.step < steps; ++state.step) {
      std::vector<Index> ids, targets;
      for (int i = 0; i < 15; ++i) ids.push_back(state.data.below(31)), targets.push_back(state.data.below(31));
      const fw::tokens batch(ids, fw::sequences{9, 1, 5});
      const auto loss = fw::cross_entropy(model(tape, batch), targets);
      tape.backward(loss);
      fw::clip_by_global_norm(model, 1.0);
      optimizer.step(model, rate(state.step));
      state.losses.push_back(static_cast<double>(loss.item()));
    }
  }
};

template <class Model>
bool same_bits(const Model& a, const Model& b) {
  std::vector<float> left, right;
  const auto into = [](std::vector<float>& all) {
    return [&all](const auto& p) { all.insert(all.end(), p.value().data(), p.value().data() + p.size()); };
  };
  fw::for_each_parameter(a, into(left));
  fw::for_each_parameter(b, into(right));
  return left.size() == right.size() && std::memcmp(left.data(), right.data(), left.size() * sizeof(float)) == 0;
}

template <class Make>
void check_resume(Make make) {
  const scratch_folder folder;
  using model_type = decltype(make(std::uint64_t(1)));
  run<model_type> whole{make(1)};
  whole.train(8);

  for (const Index stop : {0, 3, 7, 8}) {
    CAPTURE(stop);
    {
      run<model_type> first{make(1)};
      first.train(stop);
      fw::save_checkpoint(folder.path("run"), first.model, first.optimizer, first.state);
    }
    run<model_type> second{make(2)};
    fw::load_checkpoint(folder.path("run"), second.model, second.optimizer, second.state);
    second.train(8);
    CHECK(same_bits(second.model, whole.model));
    CHECK(second.state.losses == whole.state.losses);
    CHECK(second.optimizer.steps() == 8);
  }
}

}  // namespace

TEST_CASE("A run saved at any step and resumed from the file gives the bits of one that was never stopped") {
  SECTION("gated, own head") { check_resume(small::make_gated<float>); }
  SECTION("layer norms, biases, tied head") { check_resume(small::make_plain<float>); }
}

TEST_CASE("A language model file is refused by another composition, by name") {
  const scratch_folder folder;
  fw::save_model(folder.path("model"), small::make_gated<float>());
  auto plain = small::make_plain<float>();
  CHECK_THROWS_WITH(fw::load_model(folder.path("model"), plain),
                    ContainsSubstring("is another model: it has rms_norm where this model has layer_norm"));
  const auto file = fw::safetensors_file::read(folder.path("model"));
  CHECK(file.metadata().at("formwork.composition").find("v0_") == std::string::npos);
}
