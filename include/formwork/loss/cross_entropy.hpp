// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/kernel/cross_entropy.hpp>
#include <formwork/loss/logits.hpp>
#include <formwork/tape/ops.hpp>

#include <span>
#include <utility>

namespace formwork::inline FORMWORK_ABI {

/// The loss of a model's logits against the next tokens: the head's product and the softmax are fused in chunks of rows, so
/// that never all of tokens × vocab exists. A negative target is ignored.
///
///   loss = mean over counted rows of log Σ_j exp(logit_ij) - logit_i,target_i
///
/// Shapes    logits (tokens × vocab, not yet multiplied), one target a token; the loss is 1 × 1.
/// Units     nats.
/// Cost      one product without gradients, three with: where the tape records, the gradients are computed along with the
///           loss, and backward only hands them on.
/// Throws    argument_error for a target >= vocab or another number of targets than rows.
template <number S>
var<S> cross_entropy(const logits<S>& scores, std::span<const Index> targets, reduction how = reduction::mean) {
  const var<S>& x = scores.hidden;
  tape<S>& t = x.tape();
  const gradient_of_parameter<S> dw(scores.head);
  const bool learns = t.records() && (x.tracked() || dw.wanted());
  matrix<S> dhidden, dhead;
  if (learns) dhidden = matrix<S>(x.rows(), x.cols());
  if (learns && dw.wanted()) dhead = matrix<S>(scores.head->value.rows(), scores.head->value.cols());
  auto y = t.output(1, 1, x.shared_batch());
  y.write()(0, 0) = rounded<S>(cross_entropy_forward_backward<S>(dhidden, dhead, nullptr, x.value(),
                                                                 {std::as_const(scores.head->value), scores.form}, targets, how));
  if (!learns) return y;
  t.push(y, [dx = gradient_of(x), dw, dhidden = std::move(dhidden), dhead = std::move(dhead)](matrix<S>& dy) mutable {
    const pack<S> upstream(dy(0, 0));
    const auto hand_on = [&](const auto& to, matrix<S>& gradient) {
      if (!vanishes(dy(0, 0) - S(1))) transform(gradient.all(), [=](pack<S> g) { return upstream * g; }, gradient);
      to.add(std::move(gradient));
    };
    hand_on(dx, dhidden);
    hand_on(dw, dhead);
  });
  return y;
}
template <number S>
var<S> cross_entropy(const logits<S>& scores, std::initializer_list<Index> targets) {
  return cross_entropy(scores, std::span<const Index>(targets.begin(), targets.size()));
}
template <number S, class Allocator>
var<S> cross_entropy(const logits<S>& scores, const std::vector<Index, Allocator>& targets, reduction how = reduction::mean) {
  return cross_entropy(scores, std::span<const Index>(targets), how);
}

}  // namespace formwork
