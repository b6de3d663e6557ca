// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/mixer.hpp>
#include <formwork/layer/linear.hpp>
#include <formwork/ssm/hippo_memory.hpp>

#include <memory>

namespace formwork::inline FORMWORK_ABI {

/// The size of each channel's memory.
struct hippo_sizes {
  Index order = 0;  ///< 0: sizes.state_width
  double step = 1;  ///< how long a token lasts, in the units of the basis' window or scale
};

/// Every channel remembers its own past in HiPPO's coefficients and is read by a learned filter:
///
///   x_t = Ā_t x_{t-1} + B̄_t u_t,  y_t = (c · x_t + d u_t) O;  Ā, B̄ fixed by the basis, c, d and O learned
///
///   hippo<float, legs>                              the whole history, in O(order) a token
///   hippo<float, legt, zero_order_hold>             made with legt{.window = 128}, hippo_sizes{.order = 32}
///
/// Shapes    u, y (tokens × width); c (order × width), d (1 × width), O (width × width).
/// Numerics  sequential in time, so both forms have the same bits.
/// Cost      legs: 16 order operations a token and channel; the others 2 order² near the peak, exact legs 4 order². The backward
///           pass twice that, and order / 32 activations of memory.
/// Throws    argument_error for an odd order of fourier, a wrong width, or a step too long for forward_euler.
/// Source    Gu et al., 2008.07669; a fixed A and a learned c as in 2111.00396; kexue.fm/archives/10114, 10162.
/// Differs   S4 learns A, B and the step too, and uses LegS' matrix at a fixed rate, which forgets exponentially.
template <real S, class... Policy>
struct hippo {
  static_assert((fits_one_of<Policy, slot::basis, slot::discretisation> && ...),
                "formwork: hippo takes a basis and a discretisation; give anything else to the block or the model");
  static_assert(policies_for<slot::basis, Policy...> > 0,
                "formwork: hippo needs a basis; state legs, legt, lagt, fourier or one of your own");

  using plugs_into = slot::mixer;
  using scalar = S;
  using basis_type = pick_t<slot::basis, legs, Policy...>;
  using discretisation_type = pick_t<slot::discretisation, bilinear, Policy...>;
  using policies = policy_list<basis_type, discretisation_type, hippo_sizes>;
  using transition_type = hippo_transition_of<S, basis_type, discretisation_type>;
  static_assert(!(basis_type::scales_with_history && std::same_as<discretisation_type, forward_euler>),
                "formwork: forward_euler on legs passes a float's range; use bilinear, backward_euler or zero_order_hold");

  /// Where each sequence stands.
  struct state {
    matrix<S> coefficients;
    pooled_vector<Index> lengths;
  };

  parameter<S> readout;  ///< c; of role dynamics, as it multiplies a channel's own state and no activations
  parameter<S> skip;     ///< d
  linear<S> output;
  std::shared_ptr<const transition_type> transition;  ///< formed by make() from the policies' values

  template <class... Value>
  static hippo make(const builder& b, const Value&... given) {
    basis_type functions = {};
    discretisation_type by = {};
    hippo_sizes sizes = {};
    (assign_value(given, functions, by, sizes), ...);
    if (sizes.order == 0) sizes.order = b.sizes.state_width;
    auto steps = std::make_shared<const transition_type>(hippo_transition<S>(sizes.order, sizes.step, functions, by));
    if constexpr (!basis_type::scales_with_history)
      require(settles(discretise(functions.ode(sizes.order), sizes.step, by).a), "hippo: a state of order ", sizes.order,
              " grows at step ", sizes.step, "; needs bilinear, a shorter step or a longer window");
    const Index width = b.sizes.width;
    return {b.normal<S>(sizes.order, width, 1, role::dynamics), builder::constant<S>(width, S(1), role::gain),
            linear<S>::make(b, width, width, place::output), std::move(steps)};
  }

  /// The parallel form: whole sequences.
  var<S> operator()(const var<S>& u) const {
    require_width(u);
    auto y = u.tape().output(u.rows(), u.cols(), u.shared_batch());
    const state_layout layout(*transition, u.cols());
    const sequences& batch = u.batch();
    const bool keep = u.tape().records() && (is_tracked(u) || is_tracked(readout) || is_tracked(skip));
    matrix<S> states(batch.count(), layout.numbers(), S(0));
    matrix<S> kept(keep ? layout.first_kept(u.rows(), batch.count()) : 0, layout.numbers());
    recur_forward(y.write(), states.all(), kept.all(), u.value(), readout.value(), skip.value(), batch, *transition);
    auto backward = [u, kept = std::move(kept), part = parts(*this)](matrix<S>& dy) { part.backward(u, kept, dy); };
    return output(record(y, std::move(backward), u, readout, skip));
  }

  /// The incremental form: u holds the next tokens of each sequence; the state remembers them.
  var<S> operator()(const var<S>& u, state& seen) const {
    require_width(u);
    require(!u.tape().records(), "hippo: a state is for inference; needs tape{recording::off}");
    sequences batch = u.batch();
    require(batch.count() == static_cast<Index>(seen.lengths.size()), "hippo: ", batch.count(), " sequences but the state has ",
            seen.lengths.size(), "; needs as many");
    batch.starts(seen.lengths);
    auto y = u.tape().output(u.rows(), u.cols(), u.shared_batch());
    recur_forward(y.write(), seen.coefficients.all(), view<S>(), u.value(), readout.value(), skip.value(), batch,
                  *transition);
    for (Index s = 0; s < batch.count(); ++s) seen.lengths[static_cast<std::size_t>(s)] += batch.length(s);
    return output(y);
  }

  /// Of a size that does not depend on the capacity.
  state make_state(state_sizes room) const {
    return {matrix<S>(room.sequences, state_layout(*transition, readout.cols()).numbers(), S(0)),
            pooled_vector<Index>(static_cast<std::size_t>(room.sequences), 0)};
  }

  template <class M>
  static auto fields(M& m) {
    return formwork::fields("readout", m.readout, "skip", m.skip, "output", m.output);
  }

 private:
  void require_width(const var<S>& u) const {
    require(u.cols() == readout.cols(), "hippo: x is ", shape_text(u), " but readout is ", shape_text(readout),
            "; needs x.width = readout.width");
  }

  /// Whether powers of a vanish: 2^40 steps keep nothing.
  static bool settles(matrix<double> a) {
    for (int doubling = 0; doubling < 40; ++doubling) {
      a = dense_product(a, a);
      for (Index i = 0; i < a.size(); ++i)
        if (!(std::abs(a.data()[i]) < 1e100)) return false;
    }
    return std::all_of(a.data(), a.data() + a.size(), [](double x) { return std::abs(x) < 1; });
  }

  /// What a recording remembers of this layer: it may move before the backward pass.
  struct parts {
    typename parameter<S>::cell *readout, *skip;
    std::shared_ptr<const transition_type> transition;

    explicit parts(const hippo& h)
        : readout(h.readout.address()), skip(h.skip.address()), transition(h.transition) {}

    void backward(const var<S>& u, const matrix<S>& kept, const matrix<S>& dy) const {
      const state_layout layout(*transition, u.cols());
      const sequences& batch = u.batch();
      matrix<S> partial(batch.count(), layout.numbers() + layout.groups() * tile_cols<S>);
      with_gradient(gradient_of(u), u.rows(), u.cols(), [&](view<S> du, start how) {
        recur_backward(du, how, partial.all(), dy, kept, u.value(), readout->value, skip->value, batch, *transition);
      });
      gradient_of_parameter<S>(readout).add([&](view<S> g, start how) { add_readout(g, how, partial, layout); });
      gradient_of_parameter<S>(skip).add([&](view<S> g, start how) {
        add_column_sums<S>(g.data(), partial.cols(layout.numbers(), u.cols()), how);
      });
    }

    /// dL/dc: the sequences' parts in their order.
    static void add_readout(view<S> dc, start how, const matrix<S>& partial, const state_layout<transition_type>& layout) {
      if (how == start::fresh) fill(dc, S(0));
      for (Index s = 0; s < partial.rows(); ++s)
        for (Index n = 0; n < dc.rows(); ++n)
          for (Index group = 0; group < layout.groups(); ++group) {
            S* const to = dc.row(n) + layout.first(group);
            const S* from = partial.row(s) + group * layout.size + n * tile_cols<S>;
            for (Index j = 0; j < layout.count(group); ++j) to[j] += from[j];
          }
    }
  };
};

}  // namespace formwork
