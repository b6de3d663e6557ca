// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/attention/turning.hpp>
#include <formwork/contract/heads.hpp>
#include <formwork/contract/mask.hpp>
#include <formwork/contract/mixer.hpp>
#include <formwork/contract/position.hpp>
#include <formwork/contract/scale.hpp>
#include <formwork/contract/score.hpp>
#include <formwork/contract/weights.hpp>
#include <formwork/heads/independent.hpp>
#include <formwork/kernel/attend.hpp>
#include <formwork/layer/linear.hpp>
#include <formwork/mask/causal.hpp>
#include <formwork/scale/inv_sqrt.hpp>
#include <formwork/score/plain.hpp>
#include <formwork/weights/softmax.hpp>

#include <tuple>
#include <utility>

namespace formwork::inline FORMWORK_ABI {

/// Multi-head softmax attention, composed from an order-free list of policies; the mask must be stated:
///
///   attention<float, causal, rope<>, softcap>
///
///   q, k, v = x Q, x K, x V -> positions -> scores q · k scale -> score formula -> mask -> weights -> values -> output
///
/// Shapes    x, y (tokens × width); Q (width × heads · key_width), K (width × key_heads · key_width), V (width × key_heads ·
///           head_width), O (heads · head_width × width). Sizes of 0 mean width / heads, and as many key heads as heads.
/// Numerics  see kernel/attend.hpp; the incremental form gives the bits of the parallel one, where both are declared the same
///           length.
/// Throws    argument_error for sizes that do not divide, a wrong width, a state that is full or was declared another length.
/// Source    Vaswani et al., 1706.03762; key_width apart from head_width: kexue.fm/archives/7325.
template <real S, class... Policy>
struct attention {
  static_assert((fits_one_of<Policy, slot::mask, slot::position, slot::scale, slot::score, slot::heads, slot::weights> && ...),
                "formwork: attention takes a mask, a position, a scale, a score, a heads and a weights policy; give anything "
                "else to the block or the model");
  static_assert(policies_for<slot::mask, Policy...> > 0,
                "formwork: attention needs a mask; state causal, full or one of your own");

  using plugs_into = slot::mixer;
  using scalar = S;
  using mask_type = pick_t<slot::mask, causal, Policy...>;
  using position_type = pick_t<slot::position, no_position, Policy...>;
  using scale_type = pick_t<slot::scale, inv_sqrt, Policy...>;
  using score_type = pick_t<slot::score, plain, Policy...>;
  using heads_type = pick_t<slot::heads, independent, Policy...>;
  using weights_type = pick_t<slot::weights, softmax, Policy...>;
  using policies = policy_list<mask_type, position_type, scale_type, score_type, heads_type, weights_type>;

  static_assert(!absolute_position<position_type>,
                "formwork: an absolute position is added to the embeddings of tokens; give it to the model, not to attention");

  /// What incremental decoding has seen: the keys, turned to their positions, and the values.
  struct state {
    key_value_cache<S> cache;
    turns<position_type, S> turn;  ///< by the table of every position up to the capacity
    unturned_keys<S> unturned;     ///< empty where nothing turns
    Index length = 0;              ///< declared
  };

  linear<S> query, key, value, output;
  head_shape shape;
  mask_type mask = {};
  position_type position = {};
  scale_type scale = {};
  score_type score = {};
  heads_type heads = {};
  weights_type weights = {};
  turning_tables<position_type, S> tables = {};

  template <class... Value>
  static attention make(const builder& b, const Value&... given) {
    const head_shape shape = shape_of(b.sizes);
    const Index width = b.sizes.width;
    attention m{linear<S>::make(b, width, shape.heads * shape.key_width, place::query),
                linear<S>::make(b, width, shape.key_heads * shape.key_width, place::key),
                linear<S>::make(b, width, shape.key_heads * shape.head_width, place::value),
                linear<S>::make(b, shape.heads * shape.head_width, width, place::output), shape};
    fill_slots(m, given...);
    return m;
  }

  /// The parallel form: whole sequences.
  var<S> operator()(const var<S>& x) const {
    const sequences& batch = x.batch();
    require_width(x);
    auto y = x.tape().output(x.rows(), shape.heads * shape.head_width, x.shared_batch());
    matrix<S> qkv = project(x.value()), kept(x.rows(), shape.heads);
    const auto turn = tables.of(position, shape.key_width, batch.longest(), batch.declared());
    turn_both(turn, qkv, shape, batch, direction::forward);
    attend_forward<S>(y.write(), kept, q(qkv), k(qkv), v(qkv), batch, batch, shape, chosen());
    auto backward = [x, y, qkv = std::move(qkv), kept = std::move(kept), turn, part = parts(*this)](matrix<S>& dy) {
      part.backward(x, y, qkv, kept, turn, dy);
    };
    return output(record(y, std::move(backward), x, query.weight, query.bias, key.weight, key.bias, value.weight, value.bias));
  }

  /// The incremental form: x holds the next tokens of each sequence; the state remembers them.
  var<S> operator()(const var<S>& x, state& seen) const {
    static_assert(!mask_type::sees_ahead,
                  "formwork: this mask lets a query see later keys, so there is no incremental form; use causal or another "
                  "mask that does not see ahead");
    require_width(x);
    require(!x.tape().records(), "attention: a state is for inference; needs tape{recording::off}");
    sequences batch = x.batch();
    require(batch.count() == seen.cache.count(), "attention: ", batch.count(), " sequences but the state has ",
            seen.cache.count(), "; needs as many");
    pooled_vector<Index> starts;
    for (Index s = 0; s < batch.count(); ++s) starts.push_back(seen.cache.length(s));
    batch.starts(starts);
    for (Index s = 0; s < batch.count(); ++s)
      require(batch.start(s) + batch.length(s) <= seen.cache.capacity(s), "attention: sequence ", s, " holds ", batch.start(s),
              " tokens and ", batch.length(s), " more come, but the state has room for ", seen.cache.capacity(s),
              "; needs a larger capacity in make_state");
    require(batch.declared() == 0 || batch.declared() == seen.length, "attention: the batch declares length ", batch.declared(),
            " but the state ", seen.length, "; needs turn_again(state, length)");
    auto y = x.tape().output(x.rows(), shape.heads * shape.head_width, x.shared_batch());
    matrix<S> qkv = project(x.value());
    if constexpr (rotates<position_type, S>) seen.unturned.append(k(qkv), batch);
    turn_both(seen.turn, qkv, shape, batch, direction::forward);
    seen.cache.append(k(qkv), v(qkv), batch);
    attend_forward<S>(y.write(), {}, q(qkv), seen.cache, batch, shape, chosen());
    return output(y);
  }

  state make_state(state_sizes room) const {
    state st{key_value_cache<S>(room.sequences, room.capacity, shape),
             tables.of(position, shape.key_width, room.capacity, room.length), {}, room.length};
    if constexpr (rotates<position_type, S>)
      st.unturned = unturned_keys<S>(room.sequences, room.capacity, shape.key_heads * shape.key_width);
    return st;
  }

  /// Turns the keys of a state again, by the position policy that this layer has now and for that declared length (0: none):
  /// the calls that follow have the bits of a state that began so. In a model, later layers' keys and values still come from
  /// what the earlier ones computed before.
  ///
  /// Cost      a rotation of every key; nothing where positions do not turn keys.
  void turn_again(state& seen, Index length) const {
    if constexpr (rotates<position_type, S>) {
      const auto turn = tables.of(position, shape.key_width, seen.unturned.capacity(), length);
      const sequences rows = seen.cache.rows();
      matrix<S> keys = seen.unturned.first(rows);
      turn(keys, shape.key_heads, rows, direction::forward);
      seen.cache.replace_keys(keys);
      seen.turn = turn;
    }
    seen.length = length;
  }

  template <class M>
  static auto slots(M& m) {
    return std::tie(m.mask, m.position, m.scale, m.score, m.heads, m.weights);
  }
  template <class M>
  static auto fields(M& m) {
    return formwork::fields("query", m.query, "key", m.key, "value", m.value, "output", m.output);
  }

 private:
  static head_shape shape_of(const formwork::sizes& z) {
    require(z.heads > 0, "attention: heads is ", z.heads, "; needs > 0");
    require((z.key_width > 0 && z.head_width > 0) || z.width % z.heads == 0, "attention: width ", z.width,
            " is not divisible by heads ", z.heads, "; needs width = heads · key_width, or both key_width and head_width given");
    const head_shape r{z.heads, z.key_heads > 0 ? z.key_heads : z.heads, z.key_width > 0 ? z.key_width : z.width / z.heads,
                       z.head_width > 0 ? z.head_width : z.width / z.heads};
    require(r.heads % r.key_heads == 0, "attention: heads ", r.heads, " is not divisible by key_heads ", r.key_heads);
    return r;
  }
  void require_width(const var<S>& x) const {
    require(x.cols() == query.in(), "attention: x is ", shape_text(x), " but query.weight is ", shape_text(query.weight),
            "; needs x.width = weight.in");
  }

  auto chosen() const { return attend_policies{mask, scale, score, weights, heads}; }

  // q, k and v lie side by side in one matrix.
  static auto columns_of(const head_shape& h, int which) {
    const Index width[] = {h.heads * h.key_width, h.key_heads * h.key_width, h.key_heads * h.head_width};
    return std::pair(which == 0 ? Index(0) : which == 1 ? width[0] : width[0] + width[1], width[which]);
  }
  template <class M>
  static auto part_of(M& qkv, const head_shape& h, int which) {
    const auto [first, count] = columns_of(h, which);
    return qkv.cols(first, count);
  }
  auto q(const matrix<S>& qkv) const { return part_of(qkv, shape, 0); }
  auto k(const matrix<S>& qkv) const { return part_of(qkv, shape, 1); }
  auto v(const matrix<S>& qkv) const { return part_of(qkv, shape, 2); }

  matrix<S> project(view<const S> x) const {
    matrix<S> qkv(x.rows(), query.out() + key.out() + value.out());
    const auto to = [&](int which, const linear<S>& by) {
      return into(part_of(qkv, shape, which), by.weight.value(), by.bias_epilogue());
    };
    products<S>(operands::nn, x, start::fresh, to(0, query), to(1, key), to(2, value));
    return qkv;
  }

  static void turn_both(const turns<position_type, S>& turn, matrix<S>& qkv, const head_shape& h, const sequences& batch,
                        direction way) {
    turn(part_of(qkv, h, 0), h.heads, batch, way);
    turn(part_of(qkv, h, 1), h.key_heads, batch, way);
  }

  /// What a recording remembers of this layer: it may move before the backward pass.
  struct parts {
    typename parameter<S>::cell *weight[3], *bias[3];
    head_shape shape;
    decltype(std::declval<const attention&>().chosen()) policies;

    explicit parts(const attention& a)
        : weight{a.query.weight.address(), a.key.weight.address(), a.value.weight.address()},
          bias{a.query.bias.address(), a.key.bias.address(), a.value.bias.address()},
          shape(a.shape), policies(a.chosen()) {}

    void backward(const var<S>& x, const var<S>& y, const matrix<S>& qkv, const matrix<S>& kept,
                  const turns<position_type, S>& turn, const matrix<S>& dy) const {
      matrix<S> d(qkv.rows(), qkv.cols());
      attend_backward<S>(part_of(d, shape, 0), part_of(d, shape, 1), part_of(d, shape, 2), dy, y.value(), kept,
                         part_of(qkv, shape, 0), part_of(qkv, shape, 1), part_of(qkv, shape, 2), x.batch(), x.batch(), shape, policies);
      turn_both(turn, d, shape, x.batch(), direction::backward);
      for (int i = 0; i < 3; ++i)
        linear<S>::backward(gradient_of(x), gradient_of_parameter<S>(weight[i]), gradient_of_parameter<S>(bias[i]),
                            part_of(d, shape, i), x.value(), weight[i]->value);
    }
  };
};

}  // namespace formwork
