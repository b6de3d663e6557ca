// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/activation/gelu.hpp>
#include <formwork/contract/mixer.hpp>
#include <formwork/kernel/scan.hpp>
#include <formwork/ssm/diagonal.hpp>
#include <formwork/ssm/gated_output.hpp>
#include <formwork/ssm/modes.hpp>

#include <algorithm>
#include <cmath>
#include <tuple>
#include <utility>

namespace formwork::inline FORMWORK_ABI {

/// The step of each channel at the start: uniform in its logarithm.
struct log_uniform_step {
  using plugs_into = slot::step;

  double smallest = 1e-3, largest = 1e-1;
};

/// A diagonal state space for every channel, then an activation and a gated linear layer that mixes the channels, composed
/// from an order-free list of policies:
///
///   s4d<float>        s4d<float, s4d_inv, bilinear>
///
///   x' = A x + u,  h = 2 Re(C x) + D u, discretised with step ε;   y = GLU(linear(act(h)))
///
/// Shapes    x, y (tokens × width); A and C (state_width / 2 complex modes × width, each standing for its conjugate too; with
///           s4d_real state_width real ones); steps and D (1 × width); the linear layer's halves (width × width).
/// Numerics  A = -exp(log_a_real) + i a_imag stays stable. Discretised in double at every call; then kernel/scan.hpp, whose
///           incremental form gives the bits of the parallel one.
/// Cost      per token about 2 state_width multiply-adds a channel forward and 5 backward, 2 width² for the linear layer and
///           4 backward; discretisation and tables (kernel/scan_tables.hpp) once a call, or once a state.
/// Throws    argument_error for a state_width that does not suit the modes, a wrong width, or another number of sequences.
/// Source    Gu et al., 2206.11893; C ~ CN(0, 1), D ~ N(0, 1), steps log-uniform in [1e-3, 1e-1] as published.
/// Differs   B is 1, as only its product with C matters. A and the steps have role::dynamics (published: rate 1e-3, no decay);
///           C and D weigh single numbers, so role::gain: never orthogonalised as a matrix.
template <real S, class... Policy>
struct s4d {
  static_assert((fits_one_of<Policy, slot::modes, slot::discretisation, slot::step, slot::activation> && ...),
                "formwork: s4d takes modes, a discretisation, a step and an activation policy; give anything else to the block "
                "or the model");

  using plugs_into = slot::mixer;
  using scalar = S;
  using modes_type = pick_t<slot::modes, s4d_legs, Policy...>;
  using discretisation_type = pick_t<slot::discretisation, zero_order_hold, Policy...>;
  using step_type = pick_t<slot::step, log_uniform_step, Policy...>;
  using activation_type = pick_t<slot::activation, gelu, Policy...>;
  using policies = policy_list<modes_type, discretisation_type, step_type, activation_type>;
  static_assert(modes_policy<modes_type> && diagonal_discretisation<discretisation_type>);

  /// What incremental decoding has seen, and the tables of the parameters as they were at make_state.
  struct state {
    scan_tables<S> tables;
    scan_state<S> seen;
  };

  parameter<S> log_a_real, a_imag, c_real, c_imag, log_step, d;
  gated_output<S, activation_type> output;
  discretisation_type discretisation = {};
  activation_type activation = {};

  template <class... Value>
  static s4d make(const builder& b, const Value&... given) {
    modes_type modes = {};
    step_type step = {};
    (assign_value(given, modes, step), ...);
    const Index width = b.sizes.width, numbers = b.sizes.state_width;
    constexpr bool pairs = modes_type::kind == poles::conjugate_pairs;
    require(numbers > 0 && (!pairs || numbers % 2 == 0), "s4d: state_width is ", numbers, "; needs > 0",
            pairs ? ", and even for conjugate pairs" : "");
    require(0 < step.smallest && step.smallest <= step.largest, "s4d: steps from ", step.smallest, " to ", step.largest,
            "; needs 0 < smallest <= largest");
    const auto a = modes(numbers);
    const auto count = static_cast<Index>(a.size());
    matrix<S> decay(count, width), frequency(pairs ? count : 0, width), steps(1, width);
    for (Index n = 0; n < count; ++n) {
      const std::complex<double> one = a[static_cast<std::size_t>(n)];
      std::fill_n(decay.row(n), width, static_cast<S>(std::log(-one.real())));
      if (pairs) std::fill_n(frequency.row(n), width, static_cast<S>(one.imag()));
    }
    b.random.fill_uniform(steps.all(), std::log(step.smallest), std::log(step.largest));
    const auto readout = [&] { return b.normal<S>(count, width, pairs ? std::sqrt(0.5) : 1.0, role::gain); };
    s4d m;
    m.log_a_real = {std::move(decay), role::dynamics};
    m.c_real = readout();
    if (pairs) {
      m.a_imag = {std::move(frequency), role::dynamics};
      m.c_imag = readout();
    }
    m.log_step = {std::move(steps), role::dynamics};
    m.d = b.normal<S>(1, width, 1.0, role::gain);
    m.output = gated_output<S, activation_type>::make(b, width);
    fill_slots(m, given...);
    return m;
  }

  Index width() const { return log_a_real.cols(); }

  /// The parallel form: whole sequences.
  var<S> operator()(const var<S>& x) const {
    require_width(x);
    const parts part(*this);
    const diagonal_numbers numbers = part.numbers();
    scan_modes modes = diagonal_step(numbers, discretisation).modes();
    scan_tables<S> tables(modes);
    matrix<S> h(x.rows(), width()), kept;
    if (x.tape().records()) kept = matrix<S>(scan_spans(x.batch()), tables.groups() * tables.components() * lanes<S>);
    scan_forward<S>(h, x.value(), x.batch(), tables, kept);
    auto y = x.tape().output(x.rows(), width(), x.shared_batch());
    matrix<S> g(x.rows(), width()), u(x.rows(), width());
    output.forward(y.write(), h, g, u, activation);
    auto backward = [x, part, modes = std::move(modes), tables = std::move(tables), kept = std::move(kept), h = std::move(h),
                     g = std::move(g), u = std::move(u)](matrix<S>& dy) mutable {
      part.output.backward(dy, dy, h, g, u, part.activation);
      part.backward(x, modes, tables, kept, dy);
    };
    return record(y, std::move(backward), x, log_a_real, a_imag, c_real, c_imag, log_step, d, output.value.weight,
                  output.value.bias, output.gate.weight, output.gate.bias);
  }

  /// The incremental form: x holds the next tokens of each sequence; the state remembers what came before.
  var<S> operator()(const var<S>& x, state& st) const {
    require_width(x);
    require(!x.tape().records(), "s4d: a state is for inference; needs tape{recording::off}");
    require(x.batch().count() == st.seen.count(), "s4d: ", x.batch().count(), " sequences but the state has ", st.seen.count(),
            "; needs as many");
    matrix<S> h(x.rows(), width()), g(x.rows(), width()), u(x.rows(), width());
    scan_forward<S>(h, x.value(), x.batch(), st.tables, st.seen);
    auto y = x.tape().output(x.rows(), width(), x.shared_batch());
    output.forward(y.write(), h, g, u, activation);
    return y;
  }

  /// The capacity does not matter: the state has one size for any length.
  state make_state(state_sizes room) const {
    const diagonal_numbers numbers = parts(*this).numbers();
    scan_tables<S> tables(diagonal_step(numbers, discretisation).modes());
    scan_state<S> seen(room.sequences, tables);
    return {std::move(tables), std::move(seen)};
  }

  template <class M>
  static auto slots(M& m) {
    return std::tie(m.discretisation, m.activation);
  }
  template <class M>
  static auto fields(M& m) {
    return formwork::fields("log_a_real", m.log_a_real, "a_imag", m.a_imag, "c_real", m.c_real, "c_imag", m.c_imag, "log_step",
                            m.log_step, "d", m.d, "output", m.output);
  }

 private:
  void require_width(const var<S>& x) const {
    require(x.cols() == width(), "s4d: x is ", shape_text(x), " but the layer has ", width(), " channels; needs x.width = channels");
  }

  /// What a recording remembers of this layer: it may move before the backward pass.
  struct parts {
    typename parameter<S>::cell *log_a_real, *a_imag, *c_real, *c_imag, *log_step, *d;
    typename gated_output<S, activation_type>::parts output;
    discretisation_type discretisation;
    activation_type activation;

    explicit parts(const s4d& m)
        : log_a_real(m.log_a_real.address()), a_imag(m.a_imag.address()), c_real(m.c_real.address()),
          c_imag(m.c_imag.address()), log_step(m.log_step.address()), d(m.d.address()), output(m.output),
          discretisation(m.discretisation), activation(m.activation) {}

    /// f(cell, numbers) for each parameter.
    template <class Numbers, class F>
    void each(Numbers& n, F f) const {
      f(log_a_real, n.log_a_real), f(a_imag, n.a_imag);
      f(c_real, n.c_real), f(c_imag, n.c_imag);
      f(log_step, n.log_step), f(d, n.d);
    }
    diagonal_numbers numbers() const {
      diagonal_numbers r(modes_type::kind, log_a_real->value.rows(), log_a_real->value.cols());
      each(r, [](const auto* cell, matrix<double>& to) {
        if (cell) std::copy_n(cell->value.data(), to.size(), to.data());
      });
      return r;
    }

    void backward(const var<S>& x, const scan_modes& modes, const scan_tables<S>& tables, const matrix<S>& kept,
                  view<const S> dh) const {
      bool learns = false;
      for (auto* cell : {log_a_real, a_imag, c_real, c_imag, log_step, d}) learns |= gradient_of_parameter<S>(cell).wanted();
      scan_tables<S> sums(tables.kind(), tables.modes(), learns ? tables.channels() : 0);
      with_gradient(gradient_of(x), x.rows(), x.cols(), [&](view<S> dx, start how) {
        scan_backward<S>(dx, how, dh, x.value(), kept, x.batch(), tables, learns ? &sums : nullptr);
      });
      if (!learns) return;
      scan_modes dmodes(tables.kind(), tables.modes(), tables.channels());
      sums.gradient(dmodes, modes);
      const diagonal_numbers at = numbers(), gradients = diagonal_step(at, discretisation).gradient(dmodes);
      each(gradients, [](auto* cell, const matrix<double>& from) {
        gradient_of_parameter<S>(cell).add([&](view<S> to, start how) {
          for (Index i = 0; i < from.size(); ++i) {
            S& sum = to.data()[i];
            sum = static_cast<S>(from.data()[i]) + (how == start::fresh ? S(0) : sum);
          }
        });
      });
    }
  };
};
static_assert(mixer<s4d<float>>);

}  // namespace formwork
