// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/mixer.hpp>
#include <formwork/layer/builder.hpp>
#include <formwork/tape.hpp>

#include <cstring>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "support/catch.hpp"

/// What every sequence mixer promises (contract/mixer.hpp). `Mixer<S>` is made for the given sizes.
namespace laws {

namespace fw = formwork;
using fw::Index;

template <class S>
fw::matrix<S> normal_matrix(Index rows, Index cols, std::uint64_t seed) {
  fw::rng random{seed};
  fw::matrix<S> m(rows, cols);
  random.fill_normal(m.all(), 1.0);
  return m;
}

template <class A, class B>
bool same_bits(const A& a, const B& b) {
  if (a.rows() != b.rows() || a.cols() != b.cols()) return false;
  for (Index i = 0; i < a.rows(); ++i)
    if (std::memcmp(a.row(i), b.row(i), static_cast<std::size_t>(a.cols()) * sizeof(*a.row(i))) != 0) return false;
  return true;
}

template <class M>
M make_mixer(const fw::sizes& sizes) {
  static fw::rng random{11};
  random = fw::rng{11};
  return M::make(fw::builder{.sizes = sizes, .random = random});
}

/// A sequence alone has the bits it has in a ragged batch: outputs and input gradients.
template <class M>
void alone_as_in_a_batch(const fw::sizes& sizes) {
  using S = typename M::scalar;
  const M m = make_mixer<M>(sizes);
  const fw::sequences batch{70, 1, 33};
  const auto x = normal_matrix<S>(batch.rows(), sizes.width, 1), weight = normal_matrix<S>(batch.rows(), sizes.width, 2);
  const auto run = [&](Index first, Index count, const fw::sequences& rows) {
    fw::tape<S> t;
    const auto in = t.input(fw::matrix<S>(x.rows(first, count)), rows);
    const auto y = m(in);
    t.backward(fw::sum(fw::multiply(y, t.constant(fw::matrix<S>(weight.rows(first, count)), rows))));
    return std::pair(fw::matrix<S>(y.value()), fw::matrix<S>(in.gradient()));
  };
  const auto [y, dx] = run(0, batch.rows(), batch);
  for (Index s = 0; s < batch.count(); ++s) {
    const Index first = batch.first(s), count = batch.length(s);
    const auto [alone, dalone] = run(first, count, fw::sequences{count});
    CHECK(same_bits(alone, y.rows(first, count)));
    CHECK(same_bits(dalone, dx.rows(first, count)));
  }
}

/// Prefill in any split, then single steps, equals the parallel form, bit for bit.
template <class M>
void any_split_equals_the_parallel_form(const fw::sizes& sizes) {
  using S = typename M::scalar;
  const M m = make_mixer<M>(sizes);
  constexpr Index longest = 2 * 384 + 3;
  const std::vector<Index> lengths{longest, 1, 400};
  const fw::sequences batch(lengths);
  const auto x = normal_matrix<S>(batch.rows(), sizes.width, 1);
  fw::tape<S> quiet{fw::recording::off};
  const auto expected = m(quiet.constant(fw::matrix<S>(x), batch));
  for (const std::vector<Index>& cuts : {std::vector<Index>{384, 768}, {1, 2, 385}, {399, 400, 401, 767}}) {
    auto state = m.make_state({.sequences = 3, .capacity = longest});
    Index done = 0;
    const auto feed = [&](Index upto) {
      std::vector<Index> counts;
      for (const Index n : lengths) counts.push_back(std::max<Index>(std::min(n, upto) - std::min(n, done), 0));
      const fw::sequences part(counts);
      fw::matrix<S> rows(part.rows(), sizes.width);
      for (Index s = 0; s < 3; ++s)
        for (Index i = 0; i < part.length(s); ++i)
          std::copy_n(x.row(batch.first(s) + done + i), sizes.width, rows.row(part.first(s) + i));
      const auto y = m(quiet.constant(std::move(rows), part), state);
      for (Index s = 0; s < 3; ++s)
        if (part.length(s) > 0)
          CHECK(same_bits(y.value().rows(part.first(s), part.length(s)),
                          expected.value().rows(batch.first(s) + done, part.length(s))));
      done = upto;
    };
    for (const Index cut : cuts) feed(cut);
    while (done < std::min(cuts.back() + 3, longest)) feed(done + 1);
    feed(longest);
  }
}

/// No output and no gradient depends on a later input, NaN or not.
template <class M>
void nothing_sees_the_future(const fw::sizes& sizes) {
  using S = typename M::scalar;
  const M m = make_mixer<M>(sizes);
  constexpr Index n = 50, seen = 20;
  auto x = normal_matrix<S>(n, sizes.width, 1);
  fw::tape<S> quiet{fw::recording::off};
  const auto before = m(quiet.constant(fw::matrix<S>(x)));
  for (Index i = seen; i < n; ++i)
    for (Index j = 0; j < sizes.width; ++j) x(i, j) = std::numeric_limits<S>::quiet_NaN();
  const auto after = m(quiet.constant(fw::matrix<S>(x)));
  CHECK(same_bits(before.value().rows(0, seen), after.value().rows(0, seen)));
}

/// Every gradient, of the input and of every parameter, at two shapes. A formula with a corner needs smaller steps.
template <class M>
void gradients_are_right(const fw::sizes& sizes, fw::gradcheck_options options = {}) {
  static_assert(std::same_as<typename M::scalar, double>);
  M m = make_mixer<M>(sizes);
  for (const fw::sequences& batch : {fw::sequences{5, 1, 3}, fw::sequences{11}}) {
    struct with_input {
      fw::parameter<double> x;
      M& inner;
      static auto fields(with_input& w) { return fw::fields("x", w.x, "mixer", w.inner); }
    } all{{normal_matrix<double>(batch.rows(), sizes.width, 3), fw::role::matrix}, m};
    const auto weight = normal_matrix<double>(batch.rows(), sizes.width, 4);
    const auto report = fw::gradcheck(all, [&](fw::tape<double>& t) {
      const auto flat = fw::use(t, all.x);
      auto x = t.leaf(fw::matrix<double>(flat.value()), fw::share(batch), false);
      x = fw::record(x, [d = fw::gradient_of(flat)](fw::matrix<double>& dx) { d.add(std::move(dx)); }, flat);
      return fw::sum(fw::multiply(m(x), t.constant(fw::matrix<double>(weight), batch)));
    }, options);
    INFO(report);
    CHECK(report);
  }
}

/// A layer that moves before the backward pass still gets the gradients of all its parameters.
template <class M>
void a_moved_layer_gets_its_gradients(const fw::sizes& sizes) {
  using S = typename M::scalar;
  M here = make_mixer<M>(sizes);
  fw::tape<S> t;
  const auto y = here(t.input(normal_matrix<S>(5, sizes.width, 1)));
  const auto loss = fw::sum(fw::multiply(y, y));
  const M there = std::move(here);
  t.backward(loss);
  fw::for_each_named_parameter(there, [](const std::string& path, const auto& p) {
    INFO(path);
    CHECK(p.has_gradient());
  });
}

/// Another width, a tape that records beside a state, and another number of sequences are refused, in words that tell what was
/// given and what is needed.
template <class M>
void wrong_calls_are_refused(const std::string& name, const fw::sizes& sizes) {
  using S = typename M::scalar;
  const M m = make_mixer<M>(sizes);
  fw::tape<S> t, quiet{fw::recording::off};
  const Index width = sizes.width;
  CHECK_THROWS_WITH(m(t.constant(fw::matrix<S>(2, width - 1, S(1)))),
                    ContainsSubstring(fw::text(name, ": x is (2 × ", width - 1, ")")) && ContainsSubstring("needs x.width"));
  auto state = m.make_state({.sequences = 2, .capacity = 8});
  const auto rows = [&](fw::tape<S>& on, Index count) {
    return on.constant(fw::matrix<S>(count, width, S(1)), fw::sequences::equal(count, 1));
  };
  CHECK_THROWS_WITH(m(rows(t, 2), state), ContainsSubstring("recording::off"));
  CHECK_THROWS_WITH(m(rows(quiet, 1), state), ContainsSubstring(name + ": 1 sequences but the state has 2; needs as many"));
  CHECK_NOTHROW(m(rows(quiet, 2), state));
}

}  // namespace laws
