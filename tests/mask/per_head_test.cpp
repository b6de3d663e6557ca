// SPDX-License-Identifier: MIT
#include <formwork/attention.hpp>
#include <formwork/heads.hpp>
#include <formwork/kernel/attend.hpp>
#include <formwork/mask.hpp>
#include <formwork/observer.hpp>
#include <formwork/position.hpp>
#include <formwork/scale.hpp>

#include "kernel/checks.hpp"
#include "laws/mask_laws.hpp"
#include "laws/mixer_laws.hpp"

namespace fw = formwork;
using fw::Index;

namespace {

const fw::sequences batch{1, 70, 0, 430};  // more than a block of keys
const fw::head_shape shape{.heads = 4, .key_heads = 2, .key_width = 10, .head_width = 7};

/// What the kernels give with a mask, and a scale that asks how many keys it shows.
template <class S>
struct attended {
  fw::matrix<S> out, kept, dq, dk, dv;

  explicit attended(const auto& mask)
      : out(batch.rows(), 4 * 7), kept(batch.rows(), 4), dq(batch.rows(), 4 * 10), dk(batch.rows(), 2 * 10), dv(batch.rows(), 2 * 7) {
    const auto q = checks::numbers(1).matrix<S>(batch.rows(), 4 * 10), k = checks::numbers(2).matrix<S>(batch.rows(), 2 * 10);
    const auto v = checks::numbers(3).matrix<S>(batch.rows(), 2 * 7), dout = checks::numbers(4).matrix<S>(batch.rows(), 4 * 7);
    const fw::attend_policies policies{mask, fw::log_n{}, fw::plain{}, fw::softmax{}, fw::grouped{}};
    fw::attend_forward<S>(out, kept, q, k, v, batch, batch, shape, policies);
    fw::attend_backward<S>(dq, dk, dv, dout, out, kept, q, k, v, batch, batch, shape, policies);
  }
};

template <class S>
void each_head_as_alone(const auto& both, const auto& first, const auto& last) {
  const attended<S> together(both), by_first(first), by_last(last);
  const auto same = [](const fw::matrix<S>& all, const fw::matrix<S>& a, const fw::matrix<S>& b) {
    const Index half = all.cols() / 2;
    return checks::same_bits(fw::matrix<S>(all.cols(0, half)), fw::matrix<S>(a.cols(0, half))) &&
           checks::same_bits(fw::matrix<S>(all.cols(half, half)), fw::matrix<S>(b.cols(half, half)));
  };
  CHECK(same(together.out, by_first.out, by_last.out));
  CHECK(same(together.kept, by_first.kept, by_last.kept));
  CHECK(same(together.dq, by_first.dq, by_last.dq));
  CHECK(same(together.dk, by_first.dk, by_last.dk));
  CHECK(same(together.dv, by_first.dv, by_last.dv));
  CHECK_FALSE(checks::same_bits(by_first.out, by_last.out));
}

using two_ways = fw::per_head<fw::causal, fw::anticausal>;
template <class S>
using near_and_far = fw::attention<S, fw::per_head<fw::sliding_window, fw::causal, fw::sink_window>, fw::rope<>, fw::log_n>;
const fw::sizes six{.width = 24, .heads = 6};

}  // namespace

TEST_CASE("per_head keeps the laws of masks, whichever head asks") {
  laws::mask_laws(fw::anticausal{});
  laws::mask_laws(two_ways{});
  laws::mask_laws(fw::per_head{fw::sliding_window{5}});
  laws::mask_laws(fw::both{two_ways{}, fw::sliding_window{5}});
}

TEST_CASE("per_head: heads go by the masks in equal parts, in order") {
  const fw::per_head<fw::causal, fw::full, fw::anticausal> mask;
  const auto sees = [&](Index head, Index heads) { return mask.spans({3, 9, 0, head, heads})[0]; };
  const fw::index_range back{0, 4}, all{0, 9}, on{3, 9};
  CHECK((sees(0, 6) == back && sees(1, 6) == back && sees(2, 6) == all && sees(3, 6) == all && sees(4, 6) == on && sees(5, 6) == on));
  CHECK((sees(0, 4) == back && sees(1, 4) == back && sees(2, 4) == all && sees(3, 4) == on));
  CHECK(sees(0, 1) == back);
}

TEMPLATE_TEST_CASE("per_head: each head has the bits of attention by its mask alone, forward and backward", "", float, double) {
  each_head_as_alone<TestType>(two_ways{}, fw::causal{}, fw::anticausal{});
  each_head_as_alone<TestType>(fw::per_head{fw::sliding_window{20}, fw::full{}}, fw::sliding_window{20}, fw::full{});
  each_head_as_alone<TestType>(fw::both{two_ways{}, fw::sliding_window{40}}, fw::sliding_window{40}, fw::both{fw::anticausal{}, fw::sliding_window{40}});
}

TEST_CASE("attention with masks per head keeps the laws of mixers, and decodes where none sees ahead") {
  laws::alone_as_in_a_batch<near_and_far<float>>(six);
  laws::any_split_equals_the_parallel_form<near_and_far<float>>(six);
  laws::nothing_sees_the_future<near_and_far<float>>(six);
  laws::alone_as_in_a_batch<fw::attention<float, two_ways, fw::alibi>>(six);
  static_assert(!fw::incremental_mask<two_ways>);
}

TEST_CASE("attention with masks per head has right gradients") {
  laws::gradients_are_right<near_and_far<double>>(six);
  laws::gradients_are_right<fw::attention<double, two_ways, fw::temperature<double>>>(six);
}

TEST_CASE("attention with masks per head: observers see what each head sees") {
  const auto seen = []<class Mask>(Mask*) {
    const auto m = laws::make_mixer<fw::attention<double, Mask, fw::log_n, fw::expected_distance>>(six);
    fw::tape<double> quiet{fw::recording::off};
    fw::observations<double> r;
    quiet.watch(r);
    m(quiet.constant(laws::normal_matrix<double>(70, 24, 1)));
    return fw::matrix<double>(r.at(0).numbers);
  };
  const auto together = seen(static_cast<two_ways*>(nullptr));
  const auto back = seen(static_cast<fw::causal*>(nullptr)), on = seen(static_cast<fw::anticausal*>(nullptr));
  CHECK(checks::same_bits(fw::matrix<double>(together.cols(0, 3)), fw::matrix<double>(back.cols(0, 3))));
  CHECK(checks::same_bits(fw::matrix<double>(together.cols(3, 3)), fw::matrix<double>(on.cols(3, 3))));
  CHECK((together(35, 0) > 0 && together(35, 5) < 0));
}
