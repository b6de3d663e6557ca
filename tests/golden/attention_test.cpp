// SPDX-License-Identifier: MIT
#include <formwork/heads/grouped.hpp>
#include <formwork/kernel/attend.hpp>
#include <formwork/mask/causal.hpp>
#include <formwork/mask/full.hpp>
#include <formwork/position/rope.hpp>
#include <formwork/scale/inv_sqrt.hpp>
#include <formwork/score/plain.hpp>
#include <formwork/score/softcap.hpp>
#include <formwork/weights/softmax.hpp>

#include <string>

#include "golden/golden.hpp"
#include "support/catch.hpp"

namespace fw = formwork;
using fw::Index;
using matrix = fw::matrix<double>;

namespace {

constexpr double bound = 1e-13;

/// The cases of one file and group share inputs and sizes.
struct group {
  golden::file file;
  std::string name;
  fw::head_shape shape;
  fw::sequences batch = file.lengths(name + ".lengths");
  matrix q = file[name + ".input.q"], k = file[name + ".input.k"], v = file[name + ".input.v"];
  matrix upstream = file[name + ".upstream.y"];

  group(const char* file_name, const char* group_name, fw::head_shape sizes)
      : file(file_name), name(group_name), shape(sizes) {}

  void check(const matrix& got, const std::string& tensor) const {
    INFO(name << "." << tensor);
    CHECK(golden::error(got, file[name + "." + tensor]) <= bound);
  }

  /// Forward and backward; `turn(x, heads, direction)` is the position.
  void check_case(const std::string& label, auto mask, auto score, auto turn) const {
    const fw::attend_policies policies{mask, fw::inv_sqrt{}, score, fw::softmax{}, fw::grouped{}};
    const Index rows = q.rows();
    matrix turned_q = q, turned_k = k;
    turn(turned_q, shape.heads, fw::direction::forward);
    turn(turned_k, shape.key_heads, fw::direction::forward);
    matrix y(rows, upstream.cols()), kept(rows, shape.heads), dq(rows, q.cols()), dk(rows, k.cols()),
        dv(rows, v.cols());
    fw::attend_forward<double>(y, kept, turned_q, turned_k, v, batch, batch, shape, policies);
    fw::attend_backward<double>(dq, dk, dv, upstream, y, kept, turned_q, turned_k, v, batch, batch, shape, policies);
    turn(dq, shape.heads, fw::direction::backward);
    turn(dk, shape.key_heads, fw::direction::backward);
    check(y, label + ".output.y");
    check(kept, label + ".output.lse");
    check(dq, label + ".grad.q");
    check(dk, label + ".grad.k");
    check(dv, label + ".grad.v");
  }

  void check_case(const std::string& label, auto mask, auto score) const {
    check_case(label, mask, score, [](matrix&, Index, fw::direction) {});
  }

  /// Rotary positions in either pairing.
  template <fw::pairing Pairing>
  auto turned_by(fw::rope<Pairing> position) const {
    return [this, position, table = position.template table<double>(shape.key_width, batch.longest())](
               matrix& x, Index heads, fw::direction way) {
      position.template rotate<double>(x, heads, table, batch, way);
    };
  }
};

}  // namespace

TEST_CASE("attention over a ragged batch, full and causal, and its gradients are PyTorch's") {
  const group plain("attention", "plain", {.heads = 3, .key_heads = 3, .key_width = 8, .head_width = 5});
  plain.check_case("full", fw::full{}, fw::plain{});
  plain.check_case("causal", fw::causal{}, fw::plain{});
}

TEST_CASE("attention over more keys than one block holds is PyTorch's") {
  const group longer("attention_long", "long", {.heads = 1, .key_heads = 1, .key_width = 4, .head_width = 3});
  REQUIRE(longer.batch.longest() > fw::key_block);
  longer.check_case("full", fw::full{}, fw::plain{});
  longer.check_case("causal", fw::causal{}, fw::plain{});
}

TEST_CASE("grouped key heads with rotary positions and softcaps, and their gradients, are PyTorch's") {
  const group grouped("attention", "grouped", {.heads = 4, .key_heads = 2, .key_width = 6, .head_width = 5});
  const auto half = grouped.turned_by(fw::rope<fw::pairing::half>{});
  const auto interleaved = grouped.turned_by(fw::rope<fw::pairing::interleaved>{});
  grouped.check_case("full", fw::full{}, fw::plain{});
  grouped.check_case("causal", fw::causal{}, fw::plain{});
  grouped.check_case("causal_rope_half", fw::causal{}, fw::plain{}, half);
  grouped.check_case("causal_rope_interleaved", fw::causal{}, fw::plain{}, interleaved);
  grouped.check_case("full_softcap_30", fw::full{}, fw::softcap{.cap = 30});
  grouped.check_case("causal_softcap_5", fw::causal{}, fw::softcap{.cap = 5});
  grouped.check_case("causal_rope_half_softcap_5", fw::causal{}, fw::softcap{.cap = 5}, half);
}
