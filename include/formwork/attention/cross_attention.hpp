// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/attention/scored_attention.hpp>
#include <formwork/contract/mixer.hpp>
#include <formwork/layer/tokens_seen.hpp>
#include <formwork/mask/full.hpp>

#include <limits>
#include <utility>

namespace formwork::inline FORMWORK_ABI {

/// Attention of one text to another, its memory: queries are made from x, keys and values from the memory. Composed from an
/// order-free list of policies, all with a default:
///
///   cross_attention<float, log_n, grouped>
///
///   q = x Q, k, v = m K, m V -> scaled -> scores q · k scale -> score formula -> mask -> weights -> values -> output
///
/// Sequence s of x attends to sequence s of the memory, whatever its length; to an empty one it gives 0 (and the output's bias).
///
/// Shapes    x, y (tokens × width), memory (its tokens × width), in as many sequences; the weights as in attention.
/// Units     a mask's and a formula's positions are places of x, its keys places of the memory.
/// Numerics  see kernel/attend.hpp; the incremental form gives the bits of the parallel one.
/// Cost      the memory is projected once a state, not once a token; a step attends to all of it.
/// Throws    argument_error for sizes that do not divide, a wrong width, or another number of sequences than the memory has.
/// Source    Vaswani et al., 1706.03762, section 3.2.3 ("encoder-decoder attention").
template <number S, class... Policy>
struct cross_attention : scored_attention<S, full, Policy...> {
  static_assert((fits_one_of<Policy, slot::mask, slot::position, slot::scale, slot::score, slot::heads, slot::weights,
                             slot::observer> && ...),
                "formwork: cross attention takes a mask, a scale, a score, a heads and a weights policy, and observers; give "
                "anything else to the block or the model");

  using base = scored_attention<S, full, Policy...>;
  using base::shape, base::output, base::project_queries, base::project_memory, base::without_queries, base::k, base::v;

  using plugs_into = slot::cross_mixer;

  static_assert(std::same_as<typename base::position_type, no_position>,
                "formwork: cross attention takes no position, as places of two texts are not comparable; give it to the "
                "attention within each text, or an absolute one to the model");
  static_assert(!learns_weights<typename base::weights_type, S>,
                "formwork: these weights depend on the distance of query and key, but places of two texts are not comparable; "
                "give cross attention softmax or other weights");

  /// The memory's keys and values, made once, and how far the text that attends to it has come.
  struct state {
    key_value_cache<S> memory;
    tokens_seen seen;
    kept_score_values<S> values;  ///< as they were when the state was made
  };

  template <class... Value>
  static cross_attention make(const builder& b, const Value&... given) {
    return {base::make(b, given...)};
  }

  /// The parallel form: whole sequences.
  var<S> operator()(const var<S>& x, const var<S>& memory) const {
    const sequences &batch = x.batch(), &key_batch = memory.batch();
    require_as_many(batch, key_batch.count());
    const head_shape m = without_queries(shape);
    matrix<S> q = project_queries(x, name), kv = project_memory(memory, name), kept(x.rows(), shape.heads);
    auto y = x.tape().output(x.rows(), shape.output_heads * shape.head_width, x.shared_batch());
    const auto values = values_on(x.tape(), no_distances);
    auto scaled = scaled_by(values, q, k(kv, m));
    if (x.tape().records()) scaled.remember(q, k(kv, m));
    recorded from(*this, values);
    attend_forward<S>(y.write(), kept, q, k(kv, m), v(kv, m), batch, key_batch, shape, from.policies);
    observe(x.tape(), kept, from.policies, q, k(kv, m), batch, key_batch);
    auto backward = [x, memory, y, q = std::move(q), kv = std::move(kv), kept = std::move(kept), scaled = std::move(scaled),
                     from = std::move(from)](matrix<S>& dy) {
      const head_shape of_memory = without_queries(from.shape);
      matrix<S> dq(q.rows(), q.cols()), dkv(kv.rows(), kv.cols());
      const view<S> dk = k(dkv, of_memory);
      relative_heads<no_position, S> nothing_by_distance(no_position(), q, from.shape, from.values);
      from.attend(dq, dk, v(dkv, of_memory), dy, y, kept, q, k(kv, of_memory), v(kv, of_memory), x.batch(), memory.batch(),
                  nothing_by_distance);
      scaled.backward(dq, dk, from.shape, from.values.factors);
      from.backward(x, memory, dq, dkv);
    };
    return output(record_scored(x, y, std::move(backward), values, memory));
  }

  /// The incremental form: x holds the next tokens of each sequence.
  var<S> operator()(const var<S>& x, state& st) const {
    require(!x.tape().records(), name, ": a state is for inference; needs tape{recording::off}");
    require_as_many(x.batch(), st.seen.count());
    const sequences batch = st.seen.place(name, sequences(x.batch()).declare(0));
    matrix<S> q = project_queries(x, name), no_keys(0, shape.key_heads * shape.key_width);
    auto y = x.tape().output(x.rows(), shape.output_heads * shape.head_width, x.shared_batch());
    scaled_by(st.values, q, no_keys);
    const auto used = chosen(st.values);
    matrix<S> kept = watched(x.tape()) ? matrix<S>(x.rows(), shape.heads) : matrix<S>();
    attend_forward<S>(y.write(), kept, q, st.memory, batch, shape, used);
    observe(x.tape(), kept, used, q, st.memory, batch);
    st.seen.add(batch);
    return output(y);
  }

  /// A state that has projected the memory; it holds any number of tokens of x.
  state make_state(const var<S>& memory) const {
    require(!memory.tape().records(), name, ": a state is for inference; needs a memory from tape{recording::off}");
    const head_shape m = without_queries(shape);
    matrix<S> kv = project_memory(memory, name), no_queries(0, shape.query_heads * shape.key_width);
    const kept_score_values<S> values(values_on(memory.tape(), no_distances));
    scaled_by(values, no_queries, k(kv, m));
    return {key_value_cache<S>(k(kv, m), v(kv, m), memory.batch(), shape),
            tokens_seen({.sequences = memory.batch().count(), .capacity = std::numeric_limits<Index>::max()}), values};
  }

 private:
  using base::values_on, base::scaled_by, base::chosen, base::record_scored, base::watched, base::observe;
  using typename base::recorded;

  static constexpr const char* name = "cross_attention";
  static constexpr index_range no_distances = {};

  static void require_as_many(const sequences& batch, Index of_memory) {
    require(batch.count() == of_memory, name, ": x has ", batch.count(), " sequences but the memory has ", of_memory,
            "; needs as many");
  }
};

}  // namespace formwork
