// SPDX-License-Identifier: MIT
// Attention and linear attention in turn: one stack, one state, one set of promises.
#include "laws/model_laws.hpp"

using namespace small;

TEMPLATE_TEST_CASE("hybrid: prefill in any split, then steps, equals the full forward", "[D4]", float, double) {
  constexpr Index chunk = 48;  // of linear attention
  laws::decodes_as_it_reads(make_hybrid<with_linear<TestType>>(), {2 * chunk + 5, 1, 60},
                            {{chunk}, {1, chunk - 1, 98}, {chunk + 1, 2 * chunk}}, chunk + 5);
}

TEST_CASE("hybrid: a sequence has the same scores alone and in a ragged batch", "[D3]") {
  laws::reads_alone_as_in_a_batch(make_hybrid<with_linear<float>>());
}

TEST_CASE("hybrid: training gives the same bits on any number of threads", "[D1][D2]") {
  laws::trains_alike_on_any_number_of_threads([] { return make_hybrid<with_linear<float>>(); });
}

TEST_CASE("hybrid: generate continues as the full forward would") {
  laws::generates_the_likeliest(make_hybrid<with_linear<float>>(), ids(50, 31, 4), 12);
}
