// SPDX-License-Identifier: MIT
#include <formwork/heads.hpp>
#include <formwork/kernel/attend.hpp>
#include <formwork/mask/causal.hpp>
#include <formwork/mask/full.hpp>
#include <formwork/scale/inv_sqrt.hpp>
#include <formwork/score/plain.hpp>
#include <formwork/weights/softmax.hpp>

#include <string>

#include "golden/golden.hpp"
#include "support/catch.hpp"

namespace fw = formwork;
using matrix = fw::matrix<double>;

TEST_CASE("talking heads, full and causal over a ragged batch, and all their gradients are PyTorch's") {
  const golden::file file("talking_heads");
  const fw::sequences batch = file.lengths("lengths");
  const fw::head_shape shape{
      .heads = 3, .key_heads = 2, .key_width = 6, .head_width = 5, .value_heads = 4, .query_heads = 2, .output_heads = 4};
  const auto check_case = [&](const std::string& label, auto mask) {
    const auto input = [&](const char* name) { return file[label + ".input." + name]; };
    const matrix q = input("q"), k = input("k"), v = input("v"), score_mix = input("score_mix"), weight_mix = input("weight_mix");
    const fw::attend_policies chosen{mask, fw::inv_sqrt{}, fw::plain{}, fw::softmax{},
                                     fw::head_mixing<double>{score_mix, weight_mix}};
    matrix y(v.rows(), v.cols()), kept(q.rows(), 3), dq(q.rows(), q.cols()), dk(k.rows(), k.cols()), dv(v.rows(), v.cols()),
        dscores(2, 3), dweights(3, 4);
    fw::attend_forward<double>(y, kept, q, k, v, batch, batch, shape, chosen);
    fw::attend_backward<double>(dq, dk, dv, fw::head_mixing_gradient<double>{dscores, dweights}, file[label + ".upstream.y"], y,
                                kept, q, k, v, batch, batch, shape, chosen);
    const auto check = [&](const matrix& got, const std::string& tensor) {
      INFO(label << "." << tensor);
      CHECK(golden::error(got, file[label + "." + tensor]) <= 1e-13);
    };
    check(y, "output.y");
    check(dq, "grad.q");
    check(dk, "grad.k");
    check(dv, "grad.v");
    check(dscores, "grad.score_mix");
    check(dweights, "grad.weight_mix");
  };
  check_case("full", fw::full{});
  check_case("causal", fw::causal{});
}
