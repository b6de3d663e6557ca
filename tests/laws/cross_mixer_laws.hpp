// SPDX-License-Identifier: MIT
#pragma once
#include "laws/mixer_laws.hpp"

/// What every mixer of two texts promises (contract/mixer.hpp).
namespace laws {

/// Numbers of two ragged texts: the memory's sequences have other lengths than x's, and one of either is empty.
template <class S>
struct two_texts {
  fw::sequences rows{70, 1, 0, 33, 5}, memory_rows{401, 7, 3, 1, 0};
  fw::matrix<S> x, memory, weight;

  explicit two_texts(Index width)
      : x(normal_matrix<S>(rows.rows(), width, 1)),
        memory(normal_matrix<S>(memory_rows.rows(), width, 2)),
        weight(normal_matrix<S>(rows.rows(), width, 3)) {}
};

template <class S>
struct cross_outcome {
  fw::matrix<S> y, dx, dmemory;
  std::vector<fw::matrix<S>> parameters;  ///< gradients
};

/// Forward and backward of sequences first, ..., first + count - 1.
template <class M>
cross_outcome<typename M::scalar> run_cross(M& m, const two_texts<typename M::scalar>& texts, Index first, Index count) {
  using S = typename M::scalar;
  const auto part = [&](const fw::matrix<S>& all, const fw::sequences& rows) {
    return fw::matrix<S>(all.rows(rows.first(first), rows.first(first + count) - rows.first(first)));
  };
  const auto lengths = [&](const fw::sequences& rows) {
    std::vector<Index> r;
    for (Index s = first; s < first + count; ++s) r.push_back(rows.length(s));
    return fw::sequences(r);
  };
  fw::for_each_parameter(m, [](auto& p) { p.mark_stale(); });
  fw::tape<S> t;
  const auto x = t.input(part(texts.x, texts.rows), lengths(texts.rows));
  const auto memory = t.input(part(texts.memory, texts.memory_rows), lengths(texts.memory_rows));
  const auto y = m(x, memory);
  t.backward(fw::sum(fw::multiply(y, t.constant(part(texts.weight, texts.rows), lengths(texts.rows)))));
  cross_outcome<S> r{fw::matrix<S>(y.value()), fw::matrix<S>(x.gradient()), fw::matrix<S>(memory.gradient()), {}};
  fw::for_each_parameter(m, [&](auto& p) { r.parameters.emplace_back(std::as_const(p).gradient()); });
  return r;
}

/// A sequence beside its memory has the bits it has in a ragged batch: outputs and the gradients of both texts.
template <class M>
void two_texts_alone_as_in_a_batch(const fw::sizes& sizes) {
  M m = make_mixer<M>(sizes);
  const two_texts<typename M::scalar> texts(sizes.width);
  const auto all = run_cross(m, texts, 0, texts.rows.count());
  for (Index s = 0; s < texts.rows.count(); ++s) {
    CAPTURE(s);
    const auto alone = run_cross(m, texts, s, 1);
    CHECK(same_bits(alone.y, all.y.rows(texts.rows.first(s), texts.rows.length(s))));
    CHECK(same_bits(alone.dx, all.dx.rows(texts.rows.first(s), texts.rows.length(s))));
    CHECK(same_bits(alone.dmemory, all.dmemory.rows(texts.memory_rows.first(s), texts.memory_rows.length(s))));
  }
}

/// Outputs and all gradients have the same bits on any number of threads.
template <class M>
void two_texts_on_any_number_of_threads(const fw::sizes& sizes) {
  M m = make_mixer<M>(sizes);
  const two_texts<typename M::scalar> texts(sizes.width);
  const int before = fw::threads();
  fw::threads(1);
  const auto one = run_cross(m, texts, 0, texts.rows.count());
  for (const int threads : {2, 3, 8}) {
    CAPTURE(threads);
    fw::threads(threads);
    const auto many = run_cross(m, texts, 0, texts.rows.count());
    CHECK(same_bits(one.y, many.y));
    CHECK(same_bits(one.dx, many.dx));
    CHECK(same_bits(one.dmemory, many.dmemory));
    for (std::size_t i = 0; i < one.parameters.size(); ++i) CHECK(same_bits(one.parameters[i], many.parameters[i]));
  }
  fw::threads(before);
}

/// A state of the memory, fed in any split, then token by token, gives the bits of the parallel form.
template <class M>
void any_split_beside_a_memory_equals_the_parallel_form(const fw::sizes& sizes) {
  using S = typename M::scalar;
  const M m = make_mixer<M>(sizes);
  const two_texts<S> texts(sizes.width);
  const Index count = texts.rows.count(), longest = texts.rows.longest();
  fw::tape<S> quiet{fw::recording::off};
  const auto memory = quiet.constant(fw::matrix<S>(texts.memory), texts.memory_rows);
  const auto expected = m(quiet.constant(fw::matrix<S>(texts.x), texts.rows), memory);
  for (const std::vector<Index>& cuts : {std::vector<Index>{longest}, {1, 2, 30}, {32, 33, 64}, {}}) {
    auto state = m.make_state(memory);
    Index done = 0;
    const auto feed = [&](Index upto) {
      std::vector<Index> counts;
      for (Index s = 0; s < count; ++s)
        counts.push_back(std::min(texts.rows.length(s), upto) - std::min(texts.rows.length(s), done));
      const fw::sequences part(counts);
      fw::matrix<S> rows(part.rows(), sizes.width);
      for (Index s = 0; s < count; ++s)
        for (Index i = 0; i < part.length(s); ++i)
          std::copy_n(texts.x.row(texts.rows.first(s) + done + i), sizes.width, rows.row(part.first(s) + i));
      const auto y = m(quiet.constant(std::move(rows), part), state);
      for (Index s = 0; s < count; ++s)
        if (part.length(s) > 0)
          CHECK(same_bits(y.value().rows(part.first(s), part.length(s)),
                          expected.value().rows(texts.rows.first(s) + done, part.length(s))));
      done = upto;
    };
    for (const Index cut : cuts) feed(cut);
    while (done < longest) feed(done + 1);
  }
}

/// Rows of x do not meet: one that is NaN changes no other.
template <class M>
void rows_beside_a_memory_do_not_meet(const fw::sizes& sizes) {
  using S = typename M::scalar;
  const M m = make_mixer<M>(sizes);
  two_texts<S> texts(sizes.width);
  fw::tape<S> quiet{fw::recording::off};
  const auto run = [&] {
    return m(quiet.constant(fw::matrix<S>(texts.x), texts.rows), quiet.constant(fw::matrix<S>(texts.memory), texts.memory_rows));
  };
  const auto before = run();
  for (Index j = 0; j < sizes.width; ++j) texts.x(20, j) = std::numeric_limits<S>::quiet_NaN();
  const auto after = run();
  for (Index i = 0; i < texts.x.rows(); ++i) CHECK(same_bits(before.value().rows(i, 1), after.value().rows(i, 1)) == (i != 20));
}

/// Every gradient: of x, of the memory and of every parameter, with sequences of other lengths, one of them empty.
template <class M>
void gradients_of_two_texts_are_right(const fw::sizes& sizes, fw::gradcheck_options options = {}) {
  static_assert(std::same_as<typename M::scalar, double>);
  M m = make_mixer<M>(sizes);
  struct with_inputs {
    fw::parameter<double> x, memory;
    M& inner;
    static auto fields(with_inputs& w) { return fw::fields("x", w.x, "memory", w.memory, "mixer", w.inner); }
  };
  using both = std::pair<fw::sequences, fw::sequences>;
  for (const auto& [rows, memory_rows] : {both{{5, 1, 3, 2}, {2, 7, 0, 1}}, both{{3}, {11}}}) {
    with_inputs all{{normal_matrix<double>(rows.rows(), sizes.width, 3), fw::role::matrix},
                    {normal_matrix<double>(memory_rows.rows(), sizes.width, 4), fw::role::matrix}, m};
    const auto weight = normal_matrix<double>(rows.rows(), sizes.width, 5);
    const auto text = [](fw::tape<double>& t, const fw::parameter<double>& p, const fw::sequences& batch) {
      const auto flat = fw::use(t, p);
      const auto y = t.leaf(fw::matrix<double>(flat.value()), fw::share(batch), false);
      return fw::record(y, [d = fw::gradient_of(flat)](fw::matrix<double>& dy) { d.add(std::move(dy)); }, flat);
    };
    const auto report = fw::gradcheck(all, [&, &batch = rows, &memory_batch = memory_rows](fw::tape<double>& t) {
      return fw::sum(fw::multiply(m(text(t, all.x, batch), text(t, all.memory, memory_batch)),
                                  t.constant(fw::matrix<double>(weight), batch)));
    }, options);
    INFO(report);
    CHECK(report);
  }
}

/// A layer that moves before the backward pass still gets the gradients of all its parameters.
template <class M>
void a_moved_cross_layer_gets_its_gradients(const fw::sizes& sizes) {
  using S = typename M::scalar;
  M here = make_mixer<M>(sizes);
  fw::tape<S> t;
  const auto y = here(t.input(normal_matrix<S>(5, sizes.width, 1)), t.input(normal_matrix<S>(8, sizes.width, 2)));
  const auto loss = fw::sum(fw::multiply(y, y));
  const M there = std::move(here);
  t.backward(loss);
  fw::for_each_named_parameter(there, [](const std::string& path, const auto& p) {
    INFO(path);
    CHECK(p.has_gradient());
  });
}

/// Another width of either text, another number of sequences, and a tape that records beside a state are refused.
template <class M>
void wrong_calls_with_a_memory_are_refused(const std::string& name, const fw::sizes& sizes) {
  using S = typename M::scalar;
  const M m = make_mixer<M>(sizes);
  fw::tape<S> t, quiet{fw::recording::off};
  const Index width = sizes.width;
  const auto rows = [](fw::tape<S>& on, Index count, Index columns) {
    return on.constant(fw::matrix<S>(count, columns, S(1)), fw::sequences::equal(count, 1));
  };
  CHECK_THROWS_WITH(m(rows(t, 2, width - 1), rows(t, 2, width)),
                    ContainsSubstring(fw::text(name, ": x is (2 × ", width - 1, ")")) && ContainsSubstring("needs x.width"));
  CHECK_THROWS_WITH(m(rows(t, 2, width), rows(t, 2, width + 1)),
                    ContainsSubstring(fw::text(name, ": memory is (2 × ", width + 1, ")")) &&
                        ContainsSubstring("needs memory.width"));
  CHECK_THROWS_WITH(m(rows(t, 3, width), rows(t, 2, width)),
                    ContainsSubstring(name + ": x has 3 sequences but the memory has 2; needs as many"));
  CHECK_THROWS_WITH(m.make_state(rows(t, 2, width)), ContainsSubstring("recording::off"));
  auto state = m.make_state(rows(quiet, 2, width));
  CHECK_THROWS_WITH(m(rows(t, 2, width), state), ContainsSubstring("recording::off"));
  CHECK_THROWS_WITH(m(rows(quiet, 1, width), state),
                    ContainsSubstring(name + ": x has 1 sequences but the memory has 2; needs as many"));
  CHECK_NOTHROW(m(rows(quiet, 2, width), state));
}

}  // namespace laws
