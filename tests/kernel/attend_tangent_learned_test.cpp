// SPDX-License-Identifier: MIT
#include <formwork/attention/biased_scores.hpp>
#include <formwork/score/learned_formula.hpp>

#include "kernel/attend_tangent_cases.hpp"
#include "kernel/talking_cases.hpp"

// Tangents where scores and weights learn and where heads mix, in double against differences of the plain kernels: what is learned
// may be constant, or move as q, k and v do.

namespace fw = formwork;
using cases::attention_case;
using cases::inner;
using fw::Index;
using D = fw::dual_number<double>;
using fw::with_slopes;
using matrices = std::vector<fw::matrix<double>>;

namespace {

struct results {
  matrices value, slope;
};

/// A matrix for each of `from`, values and slopes.
results taken_apart(const std::vector<fw::matrix<D>>& from) {
  results r;
  for (const auto& m : from) {
    r.value.emplace_back(m.rows(), m.cols()), r.slope.emplace_back(m.rows(), m.cols());
    fw::take_apart<double>({r.value.back(), r.slope.back()}, m);
  }
  return r;
}

/// at(t) are the plain kernel's matrices once everything has moved by t.
void check_differences(const results& got, auto at, double bound = 1e-8) {
  const double h = 2e-4;
  const matrices a = at(-2 * h), b = at(-h), now = at(0), c = at(h), d = at(2 * h);
  REQUIRE(now.size() == got.value.size());
  for (std::size_t i = 0; i < now.size(); ++i) {
    CAPTURE(i);
    CHECK(checks::same_bits(now[i], got.value[i]));
    const auto expected = cases::difference(h, a[i], b[i], c[i], d[i]);
    CAPTURE(checks::largest_of(expected));
    CHECK(checks::largest_of(expected) > 1e-3);
    CHECK(checks::largest_error(got.slope[i], expected) <= bound * std::max(checks::largest_of(expected), 1.0));
  }
}

struct bent {
  static constexpr std::array start = {3.0, 2.0};
  template <class T>
  T operator()(T score, fw::score_site<T> at) const {
    return at.learned[0] * tanh(score / at.learned[1]);
  }
};

/// The numbers of a formula, biases and factors by distance: learned, or like those of alibi constant.
template <class S>
struct tables {
  static constexpr Index reach = 200;
  fw::matrix<S> numbers, biases, factors;

  auto policies() const {
    return fw::attend_policies{fw::causal{}, fw::inv_sqrt{},
                               fw::with_bias(fw::formula_of_numbers<S, bent>{{}, numbers}, fw::by_distance<S>{biases, -reach}),
                               fw::distance_weighed<S, fw::softmax>{{}, {factors, -reach}}, fw::grouped{}};
  }
};
tables<double> random_tables(Index heads, std::uint64_t seed, double offset) {
  checks::numbers random(seed);
  const Index width = 2 * tables<double>::reach + 1;
  return {random.matrix<double>(heads, 2, 0.3, 2 * offset), random.matrix<double>(heads, width, 0.5),
          random.matrix<double>(heads, width, 0.5, offset)};
}
tables<double> combined(double a, const tables<double>& x, double b, const tables<double>& y) {
  using cases::combined;
  return {combined(a, x.numbers, b, y.numbers), combined(a, x.biases, b, y.biases), combined(a, x.factors, b, y.factors)};
}
tables<D> moving(const tables<double>& x, const tables<double>& along) {
  return {with_slopes<double>({x.numbers, along.numbers}), with_slopes<double>({x.biases, along.biases}),
          with_slopes<double>({x.factors, along.factors})};
}

/// Output, gradients of q, k and v, and of the tables.
matrices run(const attention_case<double>& x, const tables<double>& t) {
  const auto chosen = t.policies();
  const auto like = [](const fw::matrix<double>& m) { return fw::matrix<double>(m.rows(), m.cols()); };
  matrices r{like(x.dout), like(x.q), like(x.k), like(x.v), like(t.numbers), like(t.biases), like(t.factors)};
  fw::matrix<double> kept(x.q.rows(), x.shape.heads);
  fw::attend_forward<double>(r[0], kept, x.q, x.k, x.v, x.batch, x.key_batch, x.shape, chosen);
  constexpr auto fresh = fw::start::fresh;
  fw::attend_backward<double>(r[1], r[2], r[3], x.dout, r[0], kept, x.q, x.k, x.v, x.batch, x.key_batch, x.shape, chosen, fresh, fresh,
                              fresh, {r[4], r[5], r[6]});
  return r;
}
results run_tangent(const attention_case<double>& x, const attention_case<double>& u, const auto& t) {
  const auto chosen = t.policies();
  const auto like = [](const auto& m) { return fw::matrix<double>(m.rows(), m.cols()); };
  results r{{like(x.dout), like(x.q), like(x.k), like(x.v)}, {like(x.dout), like(x.q), like(x.k), like(x.v)}};
  fw::matrix<double> kept(x.q.rows(), x.shape.heads), kept_t = kept;
  fw::attend_tangent<double>({r.value[0], r.slope[0]}, {kept, kept_t}, {x.q, u.q}, {x.k, u.k}, {x.v, u.v}, x.batch, x.key_batch,
                             x.shape, chosen);
  std::vector<fw::matrix<D>> learned;
  for (const auto* m : {&t.numbers, &t.biases, &t.factors}) learned.emplace_back(m->rows(), m->cols());
  fw::attend_gradient_tangent<double>({r.value[1], r.slope[1]}, {r.value[2], r.slope[2]}, {r.value[3], r.slope[3]}, {x.dout, u.dout},
                                      {r.value[0], r.slope[0]}, {kept, kept_t}, {x.q, u.q}, {x.k, u.k}, {x.v, u.v}, x.batch,
                                      x.key_batch, x.shape, chosen, {learned[0], learned[1], learned[2]});
  results rest = taken_apart(learned);
  for (auto& m : rest.value) r.value.push_back(std::move(m));
  for (auto& m : rest.slope) r.slope.push_back(std::move(m));
  return r;
}

/// Talking heads and the way they move.
using cases::talking_case;
talking_case<double> combined(double a, const talking_case<double>& x, double b, const talking_case<double>& y) {
  talking_case<double> r = x;
  using member = fw::matrix<double> talking_case<double>::*;
  using c = talking_case<double>;
  for (const member m : {&c::q, &c::k, &c::v, &c::dout, &c::score_mix, &c::weight_mix})
    r.*m = cases::combined(a, x.*m, b, y.*m);
  return r;
}
matrices run(const talking_case<double>& x, const auto& chosen) {
  auto r = x.run(chosen);
  matrices all;
  for (auto* m : {&r.plain.out, &r.plain.dq, &r.plain.dk, &r.plain.dv, &r.dscores, &r.dweights}) all.push_back(std::move(*m));
  return all;
}
/// With the direction of the mixing matrices, or these constant.
results run_tangent(const talking_case<double>& x, const talking_case<double>& u, const auto& chosen, bool mixing_moves) {
  const auto like = [](const auto& m) { return fw::matrix<double>(m.rows(), m.cols()); };
  results r{{like(x.dout), like(x.q), like(x.k), like(x.v)}, {like(x.dout), like(x.q), like(x.k), like(x.v)}};
  fw::matrix<double> kept(x.q.rows(), x.shape.heads), kept_t = kept;
  std::vector<fw::matrix<D>> mixing;
  for (const auto* m : {&x.score_mix, &x.weight_mix}) mixing.emplace_back(m->rows(), m->cols());
  const auto call = [&](const auto& all) {
    fw::attend_tangent<double>({r.value[0], r.slope[0]}, {kept, kept_t}, {x.q, u.q}, {x.k, u.k}, {x.v, u.v}, x.batch, x.key_batch,
                               x.shape, all);
    fw::attend_gradient_tangent<double>({r.value[1], r.slope[1]}, {r.value[2], r.slope[2]}, {r.value[3], r.slope[3]},
                                        {mixing[0], mixing[1]}, {x.dout, u.dout}, {r.value[0], r.slope[0]}, {kept, kept_t},
                                        {x.q, u.q}, {x.k, u.k}, {x.v, u.v}, x.batch, x.key_batch, x.shape, all);
  };
  const auto scores = with_slopes<double>({x.score_mix, u.score_mix}), weights = with_slopes<double>({x.weight_mix, u.weight_mix});
  if (mixing_moves)
    call(talking_case<D>::policies(chosen, scores, weights));
  else
    call(x.policies(chosen));
  results rest = taken_apart(mixing);
  for (auto& m : rest.value) r.value.push_back(std::move(m));
  for (auto& m : rest.slope) r.slope.push_back(std::move(m));
  return r;
}

void check_talking(fw::head_shape shape, const fw::sequences& batch, const auto& chosen) {
  const talking_case<double> x(shape, batch);
  for (const bool mixing_moves : {false, true}) {
    talking_case<double> u(shape, batch, batch, 1, 77);
    if (!mixing_moves) u.score_mix.fill(0), u.weight_mix.fill(0);
    const results got = run_tangent(x, u, chosen, mixing_moves);
    CAPTURE(mixing_moves);
    check_differences(got, [&](double t) { return run(combined(1, x, t, u), chosen); });

    // adjoint: <dout, J u> = <Jᵀ dout, u>
    const double forward = inner(x.dout, got.slope[0]);
    const double backward = inner(got.value[1], u.q) + inner(got.value[2], u.k) + inner(got.value[3], u.v) +
                            inner(got.value[4], u.score_mix) + inner(got.value[5], u.weight_mix);
    CHECK(std::abs(forward - backward) <= 1e-10 * std::max(1.0, std::abs(forward)));
  }
}

const fw::sequences ragged{70, 0, 1, 33};

}  // namespace

TEST_CASE("tangents with constant numbers, biases and factors by distance agree with differences") {
  const attention_case<double> x({4, 2, 7, 9}, ragged), u(x.shape, ragged, ragged, 1, 77);
  const auto t = random_tables(4, 8, 1);
  check_differences(run_tangent(x, u, t), [&](double by) { return run(combined(1, x, by, u), t); });
}

TEST_CASE("numbers, biases and factors by distance that move have tangents too, and so have their gradients") {
  const attention_case<double> x({4, 2, 7, 9}, ragged), u(x.shape, ragged, ragged, 1, 77);
  const auto t = random_tables(4, 8, 1), along = random_tables(4, 9, 0);
  const auto got = run_tangent(x, u, moving(t, along));
  check_differences(got, [&](double by) { return run(combined(1, x, by, u), combined(1, t, by, along)); });

  // adjoint: <dout, J u> = <Jᵀ dout, u>
  const double forward = inner(x.dout, got.slope[0]);
  const double backward = inner(got.value[1], u.q) + inner(got.value[2], u.k) + inner(got.value[3], u.v) +
                          inner(got.value[4], along.numbers) + inner(got.value[5], along.biases) + inner(got.value[6], along.factors);
  CHECK(std::abs(forward - backward) <= 1e-10 * std::max(1.0, std::abs(forward)));
}

TEST_CASE("tangents through talking heads agree with differences, whether the mixing moves or not") {
  check_talking(cases::talking(3, 4, 2, 7, 9), ragged, cases::mechanisms{fw::causal{}});
  check_talking(cases::talking(2, 2, 3, 8, 5), {45, 200}, cases::mechanisms{fw::sliding_window{20}, fw::log_n{}, fw::softcap{3}});
}
