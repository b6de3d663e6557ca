// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/dual_pack.hpp>
#include <formwork/core/parallel.hpp>
#include <formwork/kernel/attend.hpp>

#include <concepts>
#include <type_traits>

namespace formwork::inline FORMWORK_ABI {

// Second order: attention's kernels themselves, run on numbers with slopes. The forward then gives the derivative of the output in
// a direction (forward mode, a JVP), the backward that of the gradients: a product with the Hessian.

/// Numbers, and the direction they move in: two matrices of one shape. An input without a tangent is constant; an output that
/// has none, or no value, is not asked for it.
template <class S>
struct with_tangent {
  view<S> value, tangent = {};
};

/// One matrix of both.
template <real S>
matrix<dual_number<S>> with_slopes(std::type_identity_t<with_tangent<const S>> x) {
  using P = pack<dual_number<S>>;
  const bool moves = x.tangent.data() != nullptr;
  require(!moves || (x.tangent.rows() == x.value.rows() && x.tangent.cols() == x.value.cols()), "with_slopes: the tangent is ",
          shape_text(x.tangent), "; needs ", shape_text(x.value), ", as the value");
  matrix<dual_number<S>> to(x.value.rows(), x.value.cols());
  parallel_for(to.rows(), [&](Index i) {
    for (Index j = 0; j < to.cols(); j += P::size) {
      const Index count = to.cols() - j;
      const auto slope = moves ? pack<S>::load(x.tangent.row(i) + j, count) : pack<S>(0);
      P(pack<S>::load(x.value.row(i) + j, count), slope).store(to.row(i) + j, count);
    }
  });
  return to;
}

/// The values and the slopes of `from`.
template <real S>
void take_apart(std::type_identity_t<with_tangent<S>> to, view<const dual_number<S>> from) {
  const auto takes = [&](view<S> x) {
    require(!x.data() || (x.rows() == from.rows() && x.cols() == from.cols()), "take_apart: an output is ", shape_text(x),
            "; needs ", shape_text(from));
    return x.data() != nullptr;
  };
  const bool value = takes(to.value), tangent = takes(to.tangent);
  parallel_for(from.rows(), [&](Index i) {
    using P = pack<dual_number<S>>;
    for (Index j = 0; j < from.cols(); j += P::size) {
      const Index count = from.cols() - j;
      const P x = P::load(from.row(i) + j, count);
      if (value) x.value.store(to.value.row(i) + j, count);
      if (tangent) x.slope.store(to.tangent.row(i) + j, count);
    }
  });
}

/// f(the policies as kernels of dual numbers take them): matrices that mix heads become constants where they are plain.
template <real S, class Policies>
void with_dual_policies(const Policies& policies, auto f) {
  static_assert(weights_of<std::remove_cvref_t<decltype(policies.weights)>, dual_number<S>>,
                "formwork: tangents need weights that are written for numbers with slopes: template <number S>, not template <real S>");
  static_assert(!is_relative<std::remove_cvref_t<decltype(policies.columns)>>,
                "formwork: vectors by distance are products around the kernel; give attend_tangent a position without them");
  if constexpr (std::same_as<std::remove_cvref_t<decltype(policies.heads)>, head_mixing<S>>) {
    const auto scores = with_slopes<S>({policies.heads.scores}), weights = with_slopes<S>({policies.heads.weights});
    f(attend_policies{policies.mask, policies.scale, policies.score, policies.weights,
                      head_mixing<dual_number<S>>{scores, weights}, policies.columns});
  } else {
    f(policies);
  }
}

/// attend_forward and its derivative in the direction of the tangents of q, k and v (a Jacobian–vector product, forward mode):
/// no score is ever held, as in attend_forward.
///
/// Shapes    out, kept, q, k, v and their tangents as in attend_forward; out and kept may lack either.
/// Numerics  out and kept have attend_forward's bits. Tangents too depend on a row's own query and the keys it sees alone; their
///           error ≤ 5 × a naive float loop's + 4 eps.
/// Cost      3 times attend_forward's operations; q, k, v and out once more beside their tangents.
/// Throws    argument_error for shapes that do not fit.
/// Source    forward mode by dual numbers: Wengert, 1964, doi:10.1145/355586.364791.
/// Differs   what a mask, a scale, a formula or biases by distance hold is constant, but where it is itself a matrix of
///           dual_number<S> (with_slopes): biases and factors by distance, learned numbers, matrices that mix heads.
template <real S, class Policies>
void attend_tangent(std::type_identity_t<with_tangent<S>> out, std::type_identity_t<with_tangent<S>> kept,
                    std::type_identity_t<with_tangent<const S>> q, std::type_identity_t<with_tangent<const S>> k,
                    std::type_identity_t<with_tangent<const S>> v, const sequences& batch, const sequences& key_batch,
                    head_shape shape, const Policies& policies) {
  using D = dual_number<S>;
  const bool keep = kept.value.data() || kept.tangent.data();
  matrix<D> both(batch.rows(), shape.output_heads * shape.head_width), both_kept(keep ? batch.rows() : 0, keep ? shape.heads : 0);
  with_dual_policies<S>(policies, [&](const auto& dual_policies) {
    attend_forward<D>(both, both_kept, with_slopes<S>(q), with_slopes<S>(k), with_slopes<S>(v), batch, key_batch, shape,
                      dual_policies);
  });
  take_apart<S>(out, both);
  if (keep) take_apart<S>(kept, both_kept);
}

/// attend_backward and its derivative in the direction of the tangents: with a constant dout the product of the Hessian of
/// Σ dout · out with the tangents of q, k and v. For a loss of the output, the tangent of dout is that loss's Hessian times
/// the tangent of out.
///
/// Shapes    dq, dk, dv as q, k, v; out and kept with the tangents that attend_tangent gave; the others as there.
/// Numerics  the gradients have attend_backward's bits; their tangents' error ≤ 5 × a naive float loop's + 4 eps.
/// Cost      3 times attend_backward's operations; all arguments once more beside their tangents.
/// Throws    argument_error for shapes that do not fit.
/// Source    Pearlmutter, Neural Computation 6(1), 1994, doi:10.1162/neco.1994.6.1.147.
template <real S, class Policies>
  requires separate_heads<decltype(Policies::heads)>
void attend_gradient_tangent(std::type_identity_t<with_tangent<S>> dq, std::type_identity_t<with_tangent<S>> dk,
                             std::type_identity_t<with_tangent<S>> dv, std::type_identity_t<with_tangent<const S>> dout,
                             std::type_identity_t<with_tangent<const S>> out, std::type_identity_t<with_tangent<const S>> kept,
                             std::type_identity_t<with_tangent<const S>> q, std::type_identity_t<with_tangent<const S>> k,
                             std::type_identity_t<with_tangent<const S>> v, const sequences& batch, const sequences& key_batch,
                             head_shape shape, const Policies& policies, score_gradients<dual_number<S>> dlearned = {}) {
  using D = dual_number<S>;
  matrix<D> q_slopes(q.value.rows(), q.value.cols()), k_slopes(k.value.rows(), k.value.cols()),
      v_slopes(v.value.rows(), v.value.cols());
  with_dual_policies<S>(policies, [&](const auto& dual_policies) {
    attend_backward<D>(q_slopes, k_slopes, v_slopes, with_slopes<S>(dout), with_slopes<S>(out), with_slopes<S>(kept),
                       with_slopes<S>(q), with_slopes<S>(k), with_slopes<S>(v), batch, key_batch, shape, dual_policies,
                       start::fresh, start::fresh, start::fresh, dlearned);
  });
  take_apart<S>(dq, q_slopes), take_apart<S>(dk, k_slopes), take_apart<S>(dv, v_slopes);
}

/// The same where heads mix; dmixing as the mixing matrices.
template <real S, class Policies>
  requires mixes_heads<decltype(Policies::heads)>
void attend_gradient_tangent(std::type_identity_t<with_tangent<S>> dq, std::type_identity_t<with_tangent<S>> dk,
                             std::type_identity_t<with_tangent<S>> dv, head_mixing_gradient<dual_number<S>> dmixing,
                             std::type_identity_t<with_tangent<const S>> dout, std::type_identity_t<with_tangent<const S>> out,
                             std::type_identity_t<with_tangent<const S>> kept, std::type_identity_t<with_tangent<const S>> q,
                             std::type_identity_t<with_tangent<const S>> k, std::type_identity_t<with_tangent<const S>> v,
                             const sequences& batch, const sequences& key_batch, head_shape shape, const Policies& policies,
                             score_gradients<dual_number<S>> dlearned = {}) {
  using D = dual_number<S>;
  matrix<D> q_slopes(q.value.rows(), q.value.cols()), k_slopes(k.value.rows(), k.value.cols()),
      v_slopes(v.value.rows(), v.value.cols());
  with_dual_policies<S>(policies, [&](const auto& dual_policies) {
    attend_backward<D>(q_slopes, k_slopes, v_slopes, dmixing, with_slopes<S>(dout), with_slopes<S>(out), with_slopes<S>(kept),
                       with_slopes<S>(q), with_slopes<S>(k), with_slopes<S>(v), batch, key_batch, shape, dual_policies,
                       start::fresh, start::fresh, start::fresh, dlearned);
  });
  take_apart<S>(dq, q_slopes), take_apart<S>(dk, k_slopes), take_apart<S>(dv, v_slopes);
}

}  // namespace formwork
