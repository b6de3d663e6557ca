// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/mask.hpp>
#include <formwork/contract/mixer.hpp>
#include <formwork/contract/residual.hpp>
#include <formwork/layer/builder.hpp>
#include <formwork/layer/dropout.hpp>
#include <formwork/norm/rms_norm.hpp>
#include <formwork/residual/pre_norm.hpp>
#include <formwork/tape/fields.hpp>
#include <formwork/tape/tape.hpp>

namespace formwork::inline FORMWORK_ABI {

/// Whether a mixer has an incremental form, as far as its mask says.
template <class M>
inline constexpr bool decodes = true;
template <class M>
  requires requires { typename M::mask_type; }
inline constexpr bool decodes<M> = incremental_mask<typename M::mask_type>;

/// One layer of a decoder that looks at what an encoder read: a sequence mixer of its own text, a cross mixer to the other, the
/// memory, and a feed-forward part, each joined to the stream by the residual policy.
///
///   decoder_block<float, pre_norm<rms_norm>, attention<float, causal>, cross_attention<float>, mlp<float, gelu>>
///
/// Shapes    x, y (tokens × width), memory (its tokens × width), in as many sequences.
/// Source    Vaswani et al., 1706.03762, section 3.1.
template <number S, class... Policy>
struct decoder_block {
  static_assert((fits_one_of<Policy, slot::residual, slot::mixer, slot::cross_mixer, slot::feedforward> && ...),
                "formwork: decoder_block takes a residual policy, a mixer, a cross mixer and a feed-forward part; give anything "
                "else to one of them");
  static_assert(policies_for<slot::mixer, Policy...> > 0, "formwork: decoder_block needs a mixer, such as attention<S, causal>");
  static_assert(policies_for<slot::cross_mixer, Policy...> > 0,
                "formwork: decoder_block needs a cross mixer, such as cross_attention<S>; without one it is a block");
  static_assert(policies_for<slot::feedforward, Policy...> > 0,
                "formwork: decoder_block needs a feed-forward part, such as mlp<S> or gated_mlp<S, silu>");

  using scalar = S;
  using residual_type = pick_t<slot::residual, pre_norm<rms_norm>, Policy...>;
  using mixer_type = pick_t<slot::mixer, void, Policy...>;
  using cross_type = pick_t<slot::cross_mixer, void, Policy...>;
  using feedforward_type = pick_t<slot::feedforward, void, Policy...>;
  using norm_type = typename residual_type::template norm<S>;
  using policies = join_lists<policy_list<residual_type, norm_type>, policies_of_t<mixer_type>, policies_of_t<cross_type>,
                              policies_of_t<feedforward_type>>;
  static_assert(residual_policy<residual_type>);
  static_assert(mixer<mixer_type>);
  static_assert(cross_mixer<cross_type>);
  static_assert(feedforward<feedforward_type>);
  static_assert(decodes<mixer_type>,
                "formwork: the mixer of this decoder_block sees later tokens, which a decoder is to predict; give it "
                "attention<S, causal>");

  struct state {
    typename mixer_type::state own;
    typename cross_type::state other;
  };

  norm_type norm1, norm2, norm3;
  mixer_type mix;
  cross_type cross;
  feedforward_type feed;
  residual_type residual = {};
  dropout drop1 = {}, drop2 = {}, drop3 = {};  ///< of what each branch adds

  template <class... Value>
  static decoder_block make(const builder& b, const Value&... value) {
    residual_type residual = {};
    (assign_value(value, residual), ...);
    const builder here = b.at(b.site, residual);
    const auto norm = [&] { return make_norm<norm_type>(b.sizes.width, value...); };
    return {norm(), norm(), norm(), mixer_type::make(here, value...), cross_type::make(here, value...),
            feedforward_type::make(here, value...), residual.at(b.site), dropout::make(b, 0), dropout::make(b, 1),
            dropout::make(b, 2)};
  }

  /// Whole sequences.
  var<S> operator()(const var<S>& x, const var<S>& memory) const {
    return joined(
        x, [&](const var<S>& u) { return mix(u); }, [&](const var<S>& u) { return cross(u, memory); });
  }
  /// The next tokens of each.
  var<S> operator()(const var<S>& x, state& st) const {
    return joined(
        x, [&](const var<S>& u) { return mix(u, st.own); }, [&](const var<S>& u) { return cross(u, st.other); });
  }

  state make_state(state_sizes room, const var<S>& memory) const { return {mix.make_state(room), cross.make_state(memory)}; }
  void turn_again(state& st, Index length) const
    requires turns_again<mixer_type>
  {
    mix.turn_again(st.own, length);
  }

  template <class M>
  static auto fields(M& m) {
    return formwork::fields("norm1", m.norm1, "mixer", m.mix, "norm2", m.norm2, "cross", m.cross, "norm3", m.norm3, "feedforward",
                            m.feed);
  }

 private:
  var<S> joined(const var<S>& x, auto&& within, auto&& across) const {
    const auto mixed = residual.join(x, norm1, [&](const var<S>& u) { return drop1(within(u)); });
    const auto crossed = residual.join(mixed, norm2, [&](const var<S>& u) { return drop2(across(u)); });
    return residual.join(crossed, norm3, [&](const var<S>& u) { return drop3(feed(u)); });
  }
};

}  // namespace formwork
