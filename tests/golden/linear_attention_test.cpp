// SPDX-License-Identifier: MIT
#include <formwork/feature.hpp>
#include <formwork/kernel/linear_attend.hpp>
#include <formwork/position/rope.hpp>

#include <span>
#include <string>

#include "golden/golden.hpp"
#include "support/catch.hpp"

namespace fw = formwork;
using fw::Index;
using fw::key_sums;
using matrix = fw::matrix<double>;

namespace {

struct turn {
  fw::rotary_table<double> table = fw::rope<>{}.table<double>(4, 50);
  void operator()(fw::view<double> x, Index position, fw::direction way) const {
    fw::sequences rows{x.rows()};
    rows.starts(std::span(&position, 1));
    fw::rope<>{}.rotate(x, 1, table, rows, way);
  }
};

struct cases {
  golden::file file{"linear_attention"};
  fw::head_shape shape{4, 2, 4, 3};
  fw::sequences batch = file.lengths("lengths");
  matrix q = file["input.q"], k = file["input.k"], v = file["input.v"], upstream = file["upstream.y"];

  template <class Policies>
  void check(const std::string& label, const Policies& chosen) const {
    matrix y(q.rows(), upstream.cols()), kept(q.rows(), shape.heads), dq(q.rows(), q.cols()), dk(k.rows(), k.cols()),
        dv(v.rows(), v.cols());
    fw::linear_attend_forward<double>(y, kept, q, k, v, batch, shape, chosen);
    fw::linear_attend_backward<double>(dq, dk, dv, upstream, y, kept, q, k, v, batch, shape, chosen);
    const auto agrees = [&](const matrix& got, const char* name) {
      INFO(label << name);
      CHECK(golden::error(got, file[label + name]) <= 1e-13);
    };
    agrees(y, ".output.y");
    agrees(dq, ".grad.q");
    agrees(dk, ".grad.k");
    agrees(dv, ".grad.v");
  }
};

}  // namespace

TEST_CASE("linear attention over a ragged batch with grouped key heads, and its gradients, are PyTorch's") {
  const cases all;
  all.check("full", fw::linear_attend_policies<key_sums::full, fw::elu_plus_one>{});
  all.check("causal", fw::linear_attend_policies<key_sums::causal, fw::elu_plus_one>{});
  all.check("exp", fw::linear_attend_policies<key_sums::causal, fw::exponential>{});
  all.check("relu", fw::linear_attend_policies<key_sums::causal, fw::relu_plus_epsilon>{});
  all.check("full_rope_half", fw::linear_attend_policies<key_sums::full, fw::elu_plus_one, turn>{});
  all.check("causal_rope_half", fw::linear_attend_policies<key_sums::causal, fw::elu_plus_one, turn>{});
}
