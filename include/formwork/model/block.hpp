// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/mixer.hpp>
#include <formwork/contract/residual.hpp>
#include <formwork/layer/builder.hpp>
#include <formwork/layer/dropout.hpp>
#include <formwork/norm/rms_norm.hpp>
#include <formwork/residual/pre_norm.hpp>
#include <formwork/tape/fields.hpp>
#include <formwork/tape/tape.hpp>

namespace formwork::inline FORMWORK_ABI {

/// One layer of a model: a sequence mixer and a feed-forward part, each joined to the stream by the residual policy.
///
///   block<float, pre_norm<rms_norm>, attention<float, causal, rope<>>, gated_mlp<float, silu>>
///
/// Shapes    x, y (tokens × width).
template <number S, class... Policy>
struct block {
  static_assert((fits_one_of<Policy, slot::residual, slot::mixer, slot::feedforward> && ...),
                "formwork: block takes a residual policy, a mixer and a feed-forward part; a cross mixer belongs to a "
                "decoder_block, anything else to one of them");
  static_assert(policies_for<slot::mixer, Policy...> > 0, "formwork: block needs a mixer, such as attention<S, causal>");
  static_assert(policies_for<slot::feedforward, Policy...> > 0,
                "formwork: block needs a feed-forward part, such as mlp<S> or gated_mlp<S, silu>");

  using scalar = S;
  using residual_type = pick_t<slot::residual, pre_norm<rms_norm>, Policy...>;
  using mixer_type = pick_t<slot::mixer, void, Policy...>;
  using feedforward_type = pick_t<slot::feedforward, void, Policy...>;
  using norm_type = typename residual_type::template norm<S>;
  using state = typename mixer_type::state;
  using policies =
      join_lists<policy_list<residual_type, norm_type>, policies_of_t<mixer_type>, policies_of_t<feedforward_type>>;
  static_assert(residual_policy<residual_type>);
  static_assert(mixer<mixer_type>);
  static_assert(feedforward<feedforward_type>);

  norm_type norm1, norm2;
  mixer_type mix;
  feedforward_type feed;
  residual_type residual = {};
  dropout drop1 = {}, drop2 = {};  ///< of what each branch adds

  template <class... Value>
  static block make(const builder& b, const Value&... value) {
    residual_type residual = {};
    (assign_value(value, residual), ...);
    const builder here = b.at(b.site, residual);
    return {make_norm<norm_type>(b.sizes.width, value...), make_norm<norm_type>(b.sizes.width, value...),
            mixer_type::make(here, value...), feedforward_type::make(here, value...), residual.at(b.site),
            dropout::make(b, 0),
            dropout::make(b, 1)};
  }

  /// Without a state: whole sequences. With one: the next tokens of each.
  template <class... State>
  var<S> operator()(const var<S>& x, State&... st) const {
    const auto mixed = residual.join(x, norm1, [&](const var<S>& u) { return drop1(mix(u, st...)); });
    return residual.join(mixed, norm2, [&](const var<S>& u) { return drop2(feed(u)); });
  }

  state make_state(state_sizes room) const { return mix.make_state(room); }
  void turn_again(state& st, Index length) const
    requires turns_again<mixer_type>
  {
    mix.turn_again(st, length);
  }

  template <class M>
  static auto fields(M& m) {
    return formwork::fields("norm1", m.norm1, "mixer", m.mix, "norm2", m.norm2, "feedforward", m.feed);
  }
};

}  // namespace formwork
