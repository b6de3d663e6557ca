// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/memory.hpp>
#include <formwork/core/parallel.hpp>
#include <formwork/core/sequences.hpp>
#include <formwork/kernel/attend_strip.hpp>

#include <algorithm>
#include <type_traits>

namespace formwork::inline FORMWORK_ABI {

/// Where a backward puts the gradients of what scores and weights learn; it overwrites them. An empty one is not wanted.
template <number S>
struct score_gradients {
  view<S> numbers = {};  ///< (heads × numbers learned)
  view<S> biases = {};   ///< as their table, (heads × distances)
  view<S> factors = {};  ///< as their table, (output heads × distances)
};

/// What one head's rows add to, in their order.
template <number S>
struct head_sums {
  wide_of<S>* numbers;
  S *biases, *factors;  ///< of distance d at [d]; null where not wanted
};

/// The sums of every head of every part of a backward (a sequence, or a group of its strips): a part is summed by one thread
/// in the order of its rows, then the parts in theirs, so that no bit depends on the threads.
template <number S, class Policies>
class score_sums {
  using score = std::remove_cvref_t<decltype(Policies::score)>;
  using weights = std::remove_cvref_t<decltype(Policies::weights)>;

 public:
  static constexpr int numbers = numbers_learned<score>;
  static constexpr bool biases = has_biases<score>, factors = has_factors<weights>;
  static constexpr bool any = numbers > 0 || biases || factors;

  /// Part p belongs to sequence sequence_of(p).
  score_sums(score_gradients<S> to, const Policies& policies, const sequences& queries, const sequences& keys,
             head_shape shape, Index parts, auto sequence_of)
      : to_(to), parts_(parts), heads_(shape.heads) {
    const auto lay_out = [&](tables& all, view<S> wanted, const auto& table, Index heads) {
      all.heads = heads;
      require(wanted.rows() == heads && wanted.cols() == table.numbers.cols(), "attend_backward: the gradient of a table by "
              "distance is ", shape_text(wanted), "; needs (", heads, " × ", table.numbers.cols(), ")");
      all.first = table.first;
      Index total = 0;
      for (Index p = 0; p < parts; ++p) {
        const Index s = sequence_of(p);
        const index_range met = distances_met<std::remove_cvref_t<decltype(policies.mask)>>(
            queries.start(s) + queries.length(s), keys.length(s));
        all.met.push_back(met), all.offsets.push_back(total);
        total += heads * met.size();
      }
      all.sums = matrix<S>(1, total, S(0));
    };
    if constexpr (numbers > 0) {
      require(to.numbers.size() == 0 || (to.numbers.rows() == shape.heads && to.numbers.cols() == numbers),
              "attend_backward: the gradient of the formula's numbers is ", shape_text(to.numbers), "; needs (", shape.heads,
              " × ", numbers, ")");
      numbers_ = matrix<wide_of<S>>(parts, shape.heads * numbers, wide_of<S>(0));
    }
    if constexpr (biases)
      if (to.biases.size() > 0) lay_out(biases_, to.biases, policies.score.biases, shape.heads);
    if constexpr (factors)
      if (to.factors.size() > 0) lay_out(factors_, to.factors, policies.weights.factors, shape.output_heads);
  }

  head_sums<S> of(Index part, Index head) {
    return {numbers > 0 ? numbers_.row(part) + head * numbers : nullptr, biases_.of(part, head), factors_.of(part, head)};
  }

  void deliver() {
    if (to_.numbers.size() > 0)
      for (Index h = 0; h < heads_; ++h)
        for (Index i = 0; i < numbers; ++i) {
          wide_of<S> total(0);
          for (Index p = 0; p < parts_; ++p) total += numbers_(p, h * numbers + i);
          to_.numbers(h, i) = rounded<S>(total);
        }
    biases_.deliver(to_.biases);
    factors_.deliver(to_.factors);
  }

 private:
  struct tables {
    Index heads = 0, first = 0;
    pooled_vector<index_range> met = {};
    pooled_vector<Index> offsets = {};
    matrix<S> sums = {};

    S* of(Index part, Index head) {
      if (met.empty()) return nullptr;
      const auto p = static_cast<std::size_t>(part);
      return sums.data() + offsets[p] + head * met[p].size() - met[p].first;
    }
    void deliver(view<S> to) {
      if (met.empty()) return;
      parallel_for(heads, [&](Index h) {
        pooled_vector<wide_of<S>> total(static_cast<std::size_t>(to.cols()), wide_of<S>(0));
        for (std::size_t p = 0; p < met.size(); ++p)
          for (Index d = met[p].first; d < met[p].last; ++d)
            total[static_cast<std::size_t>(d - first)] += widened(of(static_cast<Index>(p), h)[d]);
        for (Index c = 0; c < to.cols(); ++c) to(h, c) = rounded<S>(total[static_cast<std::size_t>(c)]);
      });
    }
  };

  score_gradients<S> to_;
  Index parts_, heads_;
  matrix<wide_of<S>> numbers_ = {};
  tables biases_ = {}, factors_ = {};
};

/// What one row learns from a block of keys, held back until what it does not see is set to zero.
template <number S, Index Stride, class Sums>
struct learned_row {
  using P = pack<S>;
  static constexpr int numbers = Sums::numbers;

  alignas(64) S number[std::max(numbers, 1)][Stride];
  alignas(64) S bias[Stride], factor[Stride];

  /// Of the keys from j on: the bent score and its gradient.
  FORMWORK_INLINE void keep(Index j, const auto& bent, P dbent) {
#pragma GCC unroll 8
    for (int i = 0; i < numbers; ++i) (dbent * bent.at(1 + i)).store(number[i] + j);
    if constexpr (Sums::biases) dbent.store(bias + j);
  }
  void clear(index_range gap) {
    const auto zero = [gap](S* row) { std::fill(row + gap.first, row + gap.last, S(0)); };
    for (int i = 0; i < numbers; ++i) zero(number[i]);
    if constexpr (Sums::biases) zero(bias);
    if constexpr (Sums::factors) zero(factor);
  }
  /// `distance` is that of the block's first key.
  void add_to(head_sums<S> sums, index_range keys, Index distance) const {
    for (int i = 0; i < numbers; ++i) {
      P total(0);
      for (Index j = keys.first; j < keys.last; j += P::size) total += P::load(number[i] + j);
      sums.numbers[i] += widened(sum(total));
    }
    if constexpr (Sums::biases) add(sums.biases, bias, keys, distance);
  }
  void add_factors_to(head_sums<S> sums, index_range keys, Index distance) const { add(sums.factors, factor, keys, distance); }

 private:
  static void add(S* to, const S* row, index_range keys, Index distance) {
    if (to)
      for (Index j = keys.first; j < keys.last; j += P::size)
        (P::load(to + distance + j) + P::load(row + j)).store(to + distance + j);
  }
};

}  // namespace formwork
