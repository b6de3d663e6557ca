// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/heads.hpp>
#include <formwork/core/memory.hpp>
#include <formwork/core/parallel.hpp>
#include <formwork/core/sequences.hpp>
#include <formwork/kernel/attend_backward.hpp>

#include <algorithm>

namespace formwork::inline FORMWORK_ABI {

/// The strips of a long sequence are dealt to a fixed number of groups, each with sums of dk and dv of its own: threads can
/// share a sequence, and the order of every sum depends on its length alone.
inline constexpr Index mixed_groups = 4, mixed_group_rows = 512;
inline Index mixed_groups_of(Index queries) { return std::clamp<Index>(queries / mixed_group_rows, 1, mixed_groups); }

/// What the strips of one group add to: dk [head][key][padded width], dv likewise, and the gradients of the mixing matrices.
template <number S>
struct mixed_group_sums {
  S *dk, *dv;
  wide_of<S> *scores, *weights;
};

/// Those of all groups, zero at first, and their delivery.
template <number S>
class mixed_gradient_sums {
 public:
  struct one {
    Index sequence, number, count;  ///< group `number` of `count` of its sequence
  };

  mixed_gradient_sums(const sequences& queries, const sequences& keys, head_shape shape) : keys_(keys), shape_(shape) {
    Index numbers = 0;
    for (Index s = 0; s < queries.count(); ++s) {
      const Index count = mixed_groups_of(queries.length(s));
      for (Index g = 0; g < count; ++g, numbers += size(s))
        groups_.push_back({s, g, count}), offsets_.push_back(numbers);
    }
    numbers_ = matrix<S>(1, numbers, S(0));
    mixing_ = matrix<wide_of<S>>(count(), mixing_size(), wide_of<S>(0));
  }

  Index count() const { return static_cast<Index>(groups_.size()); }
  one group(Index task) const { return groups_[static_cast<std::size_t>(task)]; }
  mixed_group_sums<S> of(Index task) {
    S* dk = at(task);
    wide_of<S>* scores = mixing_.row(task);
    return {dk, dk + shape_.key_heads * key_size(group(task).sequence), scores,
            scores + shape_.query_heads * shape_.heads};
  }

  /// Groups are added in order.
  void deliver_keys(view<S> dk, view<S> dv, start dk_start, start dv_start) {
    const Index heads = shape_.key_heads + shape_.value_heads;
    parallel_for(count() * heads, [&](Index task) {
      const Index first = task / heads, h = task % heads;
      const auto [s, number, groups] = group(first);
      if (number != 0) return;
      const bool key = h < shape_.key_heads;
      const Index o = key ? h : h - shape_.key_heads, width = key ? shape_.key_width : shape_.head_width;
      const Index each = key ? key_size(s) : value_size(s);
      const auto sum_of = [&](Index g) { return (key ? of(first + g).dk : of(first + g).dv) + o * each; };
      S* total = sum_of(0);
      for (Index g = 1; g < groups; ++g)
        for (Index j = 0; j < each; j += lanes<S>)
          (pack<S>::load(total + j) + pack<S>::load(sum_of(g) + j)).store(total + j);
      deliver_gradient<S>((key ? dk : dv).rows(keys_.first(s), keys_.length(s)).cols(o * width, width),
                          key ? dk_start : dv_start, total, padded<S>(width), nullptr);
    });
  }

  void deliver_mixing(head_mixing_gradient<S> to, double unit) const {
    const Index scores = to.scores.size();
    for (Index c = 0; c < mixing_size(); ++c) {
      wide_of<S> total(0);
      for (Index task = 0; task < count(); ++task) total += mixing_(task, c);
      if (c < scores)
        to.scores(c / to.scores.cols(), c % to.scores.cols()) = rounded<S>(total * unit);
      else
        to.weights((c - scores) / to.weights.cols(), (c - scores) % to.weights.cols()) = rounded<S>(total);
    }
  }

 private:
  Index whole_keys(Index s) const { return (keys_.length(s) + strip_rows - 1) / strip_rows * strip_rows; }
  Index key_size(Index s) const { return whole_keys(s) * padded<S>(shape_.key_width); }
  Index value_size(Index s) const { return whole_keys(s) * padded<S>(shape_.head_width); }
  Index size(Index s) const { return shape_.key_heads * key_size(s) + shape_.value_heads * value_size(s); }
  Index mixing_size() const { return shape_.heads * (shape_.query_heads + shape_.output_heads); }
  S* at(Index task) { return numbers_.data() + offsets_[static_cast<std::size_t>(task)]; }

  const sequences& keys_;
  head_shape shape_;
  pooled_vector<one> groups_;
  pooled_vector<Index> offsets_;
  matrix<S> numbers_;
  matrix<wide_of<S>> mixing_;
};

}  // namespace formwork
