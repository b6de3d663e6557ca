// SPDX-License-Identifier: MIT
#include <formwork/attention.hpp>
#include <formwork/io/composition.hpp>
#include <formwork/mask.hpp>
#include <formwork/observer.hpp>
#include <formwork/score.hpp>

#include "support/catch.hpp"

namespace fw = formwork;

namespace {

struct own_policy {};
template <class S, class... P>
struct own_layer {};
struct sized {
  fw::sizes sizes;
};

/// A model of one's own that names no policies, and observers whose names begin alike.
struct row_entropy_of_two : fw::row_entropy {};
template <class Layer>
struct own_model {
  Layer first, second;
  template <class M>
  static auto fields(M& m) {
    return fw::fields("first", m.first, "second", m.second);
  }
};
template <class... Policy>
using attention = fw::attention<float, Policy...>;
template <class Layer>
std::string composition_with() {
  return fw::composition_of(own_model<Layer>{});
}

}  // namespace

TEST_CASE("A type's text has no namespaces of ours and one way to set spaces") {
  CHECK(fw::type_text<float>() == "float");
  CHECK(fw::type_text<fw::sizes>() == "sizes");
  CHECK(fw::type_text<own_policy>() == "own_policy");
  CHECK(fw::type_text<own_layer<double, own_layer<float>, own_policy>>() ==
        "own_layer<double, own_layer<float>, own_policy>");
}

TEST_CASE("A composition names the sizes, derived ones as they come out") {
  const std::string made =
      fw::composition_of(sized{{.vocab = 31, .width = 24, .depth = 2, .heads = 3, .pattern = {0, 1}}});
  CHECK(made ==
        "sized {vocab 31, width 24, depth 2, heads 3, key_heads 3, key_width 8, head_width 8, bias none, head own, "
        "pattern 0 1}");
  CHECK(fw::composition_of(sized{{.width = 24, .heads = 3, .key_heads = 3, .key_width = 8, .head_width = 8}}) ==
        fw::composition_of(sized{{.width = 24, .heads = 3}}));
  CHECK(fw::composition_of(sized{{.heads = 0}}).find("key_width 0") != std::string::npos);
  CHECK(fw::composition_of(own_policy{}) == "own_policy");
}

TEST_CASE("A composition leaves out observers, wherever they stand and whatever else is called alike") {
  const std::string bare = composition_with<attention<fw::causal, fw::softcap>>();
  CHECK(bare == "own_model<attention<float, causal, softcap>>");
  CHECK(composition_with<attention<fw::row_entropy, fw::causal, fw::softcap>>() == bare);
  CHECK(composition_with<attention<fw::causal, fw::largest_logit, fw::softcap>>() == bare);
  CHECK(composition_with<attention<fw::causal, fw::softcap, row_entropy_of_two, fw::row_entropy>>() == bare);
  CHECK(composition_with<attention<fw::causal, fw::softcap, fw::row_entropy, row_entropy_of_two>>() == bare);
  CHECK(fw::composition_of(attention<fw::causal, fw::softcap, fw::row_entropy>{}) == "attention<float, causal, softcap>");
}

TEST_CASE("The difference of two compositions is the first item that differs, by name") {
  const auto difference = [](const char* a, const char* b) { return fw::composition_difference(a, b); };
  CHECK(difference("m<float, pre_norm<layer_norm>, x>", "m<float, pre_norm<rms_norm>, x>") ==
        "it has layer_norm where this model has rms_norm");
  CHECK(difference("m<x> {width 64, heads 4, bias none}", "m<x> {width 64, heads 8, bias none}") ==
        "it has heads 4 where this model has heads 8");
  CHECK(difference("m<rope<>, softcap>, mlp>", "m<rope<>>, mlp>") == "it has softcap where this model has mlp");
  CHECK(difference("m<a>", "m<a, b>") == "it has nothing more where this model has b");
  CHECK(difference("", "m<a>") == "it has nothing more where this model has m");
  CHECK(difference("m", "") == "it has m where this model has nothing more");
}
