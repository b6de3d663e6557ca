// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/math.hpp>
#include <formwork/core/reduce.hpp>
#include <formwork/kernel/product.hpp>
#include <formwork/kernel/transform.hpp>

#include <cmath>
#include <span>

namespace formwork::inline FORMWORK_ABI {

/// How the weights of the output projection lie.
enum class head_layout {
  width_by_vocab,  ///< a matrix of its own, (in × out)
  vocab_by_width   ///< the embedding's table, tied
};

/// What becomes of the rows' losses.
enum class reduction {
  mean,  ///< over the counted targets
  sum
};

/// The output projection as cross entropy reads it.
template <number S>
struct cross_entropy_head {
  view<const S> weight;
  head_layout layout;

  Index vocab() const { return layout == head_layout::width_by_vocab ? weight.cols() : weight.rows(); }
  Index width() const { return layout == head_layout::width_by_vocab ? weight.rows() : weight.cols(); }
};

/// Rows of logits that exist at a time: all where they fit in 1 MB of floats, else at most half of them and about 256, which
/// multiply at full speed. A choice of speed only: no bit depends on it.
constexpr Index cross_entropy_rows(Index counted, Index vocab) {
  const Index cheap = (Index(1) << 18) / std::max<Index>(vocab, 1);
  if (counted <= cheap) return counted;
  const Index most = std::max<Index>(cheap, 256), chunks = std::max<Index>((counted + most - 1) / most, 2);
  return (counted + chunks - 1) / chunks;
}

/// Some counted rows of a batch, gathered: their logits, and in training their share of the gradients.
///
/// Softmax stays unnormalised: with e = exp(logit - m) and Z = Σ e a row's logit gradient is (e - Z at the target) c with
/// c = scale / Z, and c is multiplied into the few hidden numbers instead of the many logits.
template <number S>
class cross_entropy_chunk {
 public:
  cross_entropy_chunk(const cross_entropy_head<S>& head, Index most)
      : head_(head), hidden_(most, head.width()), logits_(most, padded<S>(head.vocab())), factor_(most) {}

  /// Σ of the losses of `rows`, indices into hidden and targets; in training e and c stay for gradients().
  void forward(compensated_sum<wide_of<S>>& loss, S* lse, view<const S> hidden, std::span<const Index> targets,
               std::span<const Index> rows, double scale) {
    const auto count = static_cast<Index>(rows.size());
    const scratch<wide_of<S>> row_loss(count);
    gather(hidden, rows);
    const view<S> logits = logits_.rows(0, count).cols(0, head_.vocab());
    if (head_.layout == head_layout::width_by_vocab)
      product_nn<S>(logits, hidden_.rows(0, count), head_.weight);
    else
      product_nt<S>(logits, hidden_.rows(0, count), head_.weight);
    parallel_for(count, [&](Index i) {
      const Index at = rows[static_cast<std::size_t>(i)];
      S& target = logits(i, targets[static_cast<std::size_t>(at)]);
      const auto chosen = widened(target);
      const auto [most, sum] = exponentials(logits.row(i), logits.cols());
      const auto log_sum = most + logarithm(sum);
      row_loss[i] = log_sum - chosen;
      if (lse) lse[at] = rounded<S>(log_sum);
      target -= rounded<S>(sum);
      factor_[i] = rounded<S>(scale / sum);
    });
    for (Index i = 0; i < count; ++i) loss.add(row_loss[i]);
  }

  /// dhidden's rows and this chunk's addends of dhead; either may be empty.
  void gradients(view<S> dhidden, view<S> dhead, std::span<const Index> rows, start dhidden_start, start dhead_start) {
    const auto count = static_cast<Index>(rows.size());
    const view<const S> slope = logits_.rows(0, count).cols(0, head_.vocab());
    const view<S> hidden = hidden_.rows(0, count);
    if (dhead.data()) {
      scale_rows(hidden);
      if (head_.layout == head_layout::width_by_vocab)
        product_tn<S>(dhead, hidden, slope, dhead_start);
      else
        product_tn<S>(dhead, slope, hidden, dhead_start);
    }
    if (dhidden.data()) {
      if (head_.layout == head_layout::width_by_vocab)
        product_nt<S>(hidden, slope, head_.weight);
      else
        product_nn<S>(hidden, slope, head_.weight);
      scale_rows(hidden);
      scatter(dhidden, rows, dhidden_start);
    }
  }

 private:
  struct row_sum {
    double most;  ///< a constant, whatever slopes the logits have: the loss does not depend on it
    wide_of<S> sum;
  };
  /// x becomes exp(x - max).
  static row_sum exponentials(S* x, Index n) {
    using P = pack<S>;
    const real_of<S> most = largest(x, n);
    const P shift(most);
    const auto sum = sum_in_blocks<S>(n, [=](Index j, Index count, P a) {
      P e = exp(P::load(x + j, count) - shift);
      e.store(x + j, count);
      if (count < P::size) e = select(P::ramp(0) < P(count), e, P(0));
      return a + e;
    });
    return {static_cast<double>(most), sum};
  }

  void gather(view<const S> from, std::span<const Index> rows) {
    for (std::size_t i = 0; i < rows.size(); ++i)
      std::copy_n(from.row(rows[i]), from.cols(), hidden_.row(static_cast<Index>(i)));
  }
  void scale_rows(view<S> x) const {
    parallel_ranges(x.rows(), 16, [&](Index first, Index last) {
      for (Index i = first; i < last; ++i)
        for (Index j = 0; j < x.cols(); j += lanes<S>) {
          const Index count = std::min<Index>(lanes<S>, x.cols() - j);
          (pack<S>::load(x.row(i) + j, count) * pack<S>(factor_[i])).store(x.row(i) + j, count);
        }
    });
  }
  void scatter(view<S> to, std::span<const Index> rows, start how) const {
    for (std::size_t i = 0; i < rows.size(); ++i) {
      S* const out = to.row(rows[i]);
      const S* const from = hidden_.row(static_cast<Index>(i));
      if (how == start::fresh)
        std::copy_n(from, to.cols(), out);
      else
        for (Index j = 0; j < to.cols(); ++j) out[j] += from[j];
    }
  }

  cross_entropy_head<S> head_;
  matrix<S> hidden_;
  matrix<S> logits_;  // rows of whole packs: they start on a cache line
  scratch<S> factor_;
};

/// The rows whose target counts; throws for the first target outside the vocabulary.
template <number S>
pooled_vector<Index> counted_rows(const_view<S> hidden, const cross_entropy_head<S>& head, std::span<const Index> targets) {
  require(hidden.cols() == head.width(), "cross_entropy: hidden is ", shape_text(hidden), " but the head's weight is ",
          shape_text(head.weight), "; needs hidden.width = head.width");
  require(hidden.rows() == static_cast<Index>(targets.size()), "cross_entropy: hidden is ", shape_text(hidden),
          " but there are ", targets.size(), " targets; needs one per row");
  pooled_vector<Index> counted;
  for (std::size_t i = 0; i < targets.size(); ++i) {
    require(targets[i] < head.vocab(), "cross_entropy: target ", targets[i], " of row ", i, " but the vocabulary is ",
            head.vocab(), "; needs target < vocab");
    if (targets[i] >= 0) counted.push_back(static_cast<Index>(i));
  }
  return counted;
}

/// The loss of hidden · head against the targets, and in the same pass its gradients: of the logits about 256 rows, at
/// most half of them, or 1 MB of floats exist at a time. dhidden and dhead may be empty where they are not wanted.
///
///   loss = Σ over counted rows of (lse_i - logit_i,target_i), over their number for the mean;  lse_i = log Σ_j exp(logit_ij)
///   dhidden_i = c (softmax_i - onehot_i) headᵀ,  dhead = Σ_i hidden_iᵀ c (softmax_i - onehot_i),  c = upstream [/ counted rows]
///
/// Shapes    hidden, dhidden (tokens × width), targets (tokens), lse (tokens) or null, dhead like the head's weight. A
///           negative target is ignored: its row is not multiplied, its gradient is zero and its lse is left as it is.
/// Units     nats. `upstream` is dL/dloss.
/// Numerics  a row's lse, loss and, for the sum, gradient have the same bits alone and in any batch; dhead is one FMA chain
///           over the counted rows in their order; sums of exponentials and of losses are carried in double.
/// Cost      three products, no logits twice; one product for the loss alone.
/// Throws    argument_error for a wrong shape or a target ≥ vocab, before anything is written.
/// Source    chunked fusion as in Wijmans et al., Cut your losses, 2411.09009, which recomputes the logits instead.
/// Differs   the mean of no counted target is 0 with zero gradients; PyTorch's is NaN.
template <number S>
wide_of<S> cross_entropy_forward_backward(view<S> dhidden, view<S> dhead, std::type_identity_t<S>* lse, const_view<S> hidden,
                                      const cross_entropy_head<S>& head, std::span<const Index> targets,
                                      reduction how = reduction::mean, double upstream = 1, start dhidden_start = start::fresh,
                                      start dhead_start = start::fresh) {
  const pooled_vector<Index> counted = counted_rows<S>(hidden, head, targets);
  const auto count = static_cast<Index>(counted.size());
  if (dhidden_start == start::fresh && count < dhidden.rows()) fill(dhidden, S(0));
  if (count == 0) {
    if (dhead_start == start::fresh) fill(dhead, S(0));
    return 0;
  }
  const double share = how == reduction::mean ? 1 / static_cast<double>(count) : 1;
  const Index rows = cross_entropy_rows(count, head.vocab());
  cross_entropy_chunk<S> chunk(head, rows);
  compensated_sum<wide_of<S>> loss;
  for (Index first = 0; first < count; first += rows) {
    const std::span<const Index> part(counted.data() + first, static_cast<std::size_t>(std::min(rows, count - first)));
    chunk.forward(loss, lse, hidden, targets, part, upstream * share);
    chunk.gradients(dhidden, dhead, part, dhidden_start, first == 0 ? dhead_start : start::continued);
  }
  return loss.value() * share;
}

/// The loss alone, with the same bits.
template <number S>
wide_of<S> cross_entropy_forward(S* lse, const_view<S> hidden, const cross_entropy_head<S>& head, std::span<const Index> targets,
                             reduction how = reduction::mean) {
  return cross_entropy_forward_backward<S>({}, {}, lse, hidden, head, targets, how);
}

}  // namespace formwork
