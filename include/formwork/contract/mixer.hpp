// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/module.hpp>

namespace formwork::inline FORMWORK_ABI {

/// A sequence mixer: the only part where tokens meet (attention, linear attention, a state space).
///
///   m(x)              the parallel form, on a ragged batch
///   m(x, state)       the incremental form: x holds the next tokens of each sequence, state what came before
///   m.make_state({.sequences, .capacity})
///   m.turn_again(state, length)   where positions turn the keys of a state: `turns_again`
///
/// Laws      prefill in any split, then steps, equals the parallel form, bitwise; no output depends on a later input; a
///           sequence alone equals the same in a batch, bitwise; gradcheck; a layer may move before the backward pass; wrong calls
///           are refused (tests/laws/mixer_laws.hpp).
template <class M>
concept mixer = std::same_as<typename M::plugs_into, slot::mixer> &&
                requires(const M& m, const var<typename M::scalar>& x, typename M::state& state) {
                  { m(x) } -> std::same_as<var<typename M::scalar>>;
                  { m(x, state) } -> std::same_as<var<typename M::scalar>>;
                  { m.make_state(state_sizes{}) } -> std::same_as<typename M::state>;
                };

/// A state remembers the table its keys were turned by. turn_again turns them again, once, by the position policy that the
/// layer has now and for that declared length (0: none).
template <class M>
concept turns_again = requires(const M& m, typename M::state& state) { m.turn_again(state, Index{}); };

/// A mixer in which the tokens of one text meet those of another, the memory, sequence by sequence; they do not meet each other.
///
///   m(x, memory)           the parallel form
///   m(x, state)            the incremental form: x holds the next tokens of each sequence
///   m.make_state(memory)   what is made of the memory once
///
/// Laws      as a mixer's; an empty memory gives 0 before the output's bias (tests/laws/cross_mixer_laws.hpp).
template <class M>
concept cross_mixer = std::same_as<typename M::plugs_into, slot::cross_mixer> &&
                      requires(const M& m, const var<typename M::scalar>& x, typename M::state& state) {
                        { m(x, x) } -> std::same_as<var<typename M::scalar>>;
                        { m(x, state) } -> std::same_as<var<typename M::scalar>>;
                        { m.make_state(x) } -> std::same_as<typename M::state>;
                      };

/// Maps each row alone: mlp, gated_mlp.
template <class F>
concept feedforward = std::same_as<typename F::plugs_into, slot::feedforward> &&
                      requires(const F& f, const var<typename F::scalar>& x) {
                        { f(x) } -> std::same_as<var<typename F::scalar>>;
                      };

}  // namespace formwork
