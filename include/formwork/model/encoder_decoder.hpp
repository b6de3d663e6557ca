// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/layer/embedding.hpp>
#include <formwork/layer/tokens_seen.hpp>
#include <formwork/loss/logits.hpp>
#include <formwork/model/decoder_block.hpp>
#include <formwork/model/parts.hpp>
#include <formwork/model/stack.hpp>

#include <tuple>
#include <type_traits>
#include <utility>

namespace formwork::inline FORMWORK_ABI {

/// Whether a layer looks at another text, as a decoder_block does.
template <class Part>
concept looks_across = requires { typename Part::cross_type; };

/// Sorts what an encoder_decoder is composed of: layers that look across are its decoder's, the others its encoder's, and an
/// absolute position is both's.
template <number S, class... Part>
struct encoder_decoder_parts {
 private:
  template <class P>
  static constexpr bool is_policy = requires { typename P::plugs_into; };
  template <class... P>
  static std::type_identity<model_parts<S, P...>> parts_of(policy_list<P...>);
  template <bool... Wanted>
  using those = typename decltype(parts_of(join_lists<std::conditional_t<Wanted, policy_list<Part>, policy_list<>>...>()))::type;

  static_assert(((!is_policy<Part> && !looks_across<Part>) || ...) && (looks_across<Part> || ...),
                "formwork: encoder_decoder needs a layer for each side: a block<S, attention<S, full>, ...> for the encoder and a "
                "decoder_block<S, attention<S, causal>, cross_attention<S>, ...>");

 public:
  using encoder = those<!looks_across<Part>...>;
  using decoder = those<(is_policy<Part> || looks_across<Part>)...>;
};

/// A model of one text given another: an encoder reads the source, a decoder writes the target and looks at what the encoder
/// read. Blocks of one or several kinds for the encoder, decoder blocks for the decoder, and an absolute position, which both
/// texts get, or none, in any order:
///
///   using reads = block<float, attention<float, full>, mlp<float>>;
///   using writes = decoder_block<float, attention<float, causal>, cross_attention<float>, mlp<float>>;
///   auto model = encoder_decoder<float, reads, writes, sinusoidal>::make({.vocab = 256, .width = 128, .depth = 4}, rng);
///   auto loss = cross_entropy(model(tape, source, target.input), target.target);
///   auto state = model.make_state({.capacity = 100}, source);                // encodes the source, once
///   auto next = model(quiet, tokens{begin}, state).last();
///
/// Both texts share one table of tokens, unless sizes.source_vocab gives the source its own; the head is the target's, or a
/// matrix of its own (sizes.head).
///
/// Shapes    source and target tokens (one id a row), in as many sequences -> logits (target tokens × vocab), not yet multiplied.
/// Cost      a state projects what the encoder read once for each decoder block; a step costs no more for it than to attend.
/// Throws    argument_error for sizes that do not fit, a token id outside the vocabulary, another number of sequences than of
///           sources, or a state that is full: then the state is as before.
/// Source    Vaswani et al., 1706.03762, section 3.1.
/// Differs   embeddings are not multiplied by √width; a learned position has a table for each side.
template <number S, class... Part>
struct encoder_decoder {
  using scalar = S;
  using parts = encoder_decoder_parts<S, Part...>;
  using encoder_type = typename parts::encoder::stack_type;
  using decoder_type = typename parts::decoder::stack_type;
  using position_type = typename parts::decoder::position_type;
  using policies = join_lists<policy_list<position_type>, policies_of_t<encoder_type>, policies_of_t<decoder_type>>;

  /// What the encoder read, as the decoder's blocks need it, and what they have written.
  struct state {
    tokens_seen seen;
    typename decoder_type::state layers;
  };

  formwork::sizes sizes;
  embedding<S> embed;
  embedding<S> source_embed;  ///< absent where both texts share one
  position_type source_position, position;
  encoder_type encoder;
  final_norm_t<encoder_type> encoder_norm;
  decoder_type decoder;
  final_norm_t<decoder_type> decoder_norm;
  parameter<S> head;  ///< absent when tied

  template <class... Value>
  static encoder_decoder make(formwork::sizes sizes, rng& random, const Value&... value) {
    require_values_fill<encoder_decoder, Value...>();
    require(sizes.vocab > 0 && sizes.source_vocab >= 0 && sizes.width > 0, "encoder_decoder: vocab is ", sizes.vocab,
            ", source_vocab ", sizes.source_vocab, " and width ", sizes.width,
            "; needs all > 0, or source_vocab 0 to share a table");
    if (sizes.decoder_depth == 0) sizes.decoder_depth = sizes.depth;
    const builder b{.sizes = sizes, .random = random};
    builder reads = b, writes = b;
    reads.site = {.stack = stack_kind::encoder, .other_depth = sizes.decoder_depth};
    reads.sizes.vocab = sizes.source_vocab;
    writes.site = {.stack = stack_kind::decoder, .other_depth = sizes.depth};
    writes.sizes.depth = sizes.decoder_depth;
    writes.sizes.pattern = sizes.decoder_pattern;
    encoder_decoder m{sizes,
                      embedding<S>::make(b),
                      sizes.source_vocab > 0 ? embedding<S>::make(reads) : embedding<S>{},
                      make_policy<position_type>(b, value...),
                      make_policy<position_type>(b, value...),
                      encoder_type::make(reads, value...),
                      make_norm<final_norm_t<encoder_type>>(sizes.width, value...),
                      decoder_type::make(writes, value...),
                      make_norm<final_norm_t<decoder_type>>(sizes.width, value...),
                      {}};
    if (sizes.head == tying::own) m.head = b.normal<S>(sizes.width, sizes.vocab, 0.02, role::head);
    return m;
  }

  /// Whole sequences.
  logits<S> operator()(tape<S>& t, const tokens& source, const tokens& target) const {
    require(source.batch.count() == target.batch.count(), "encoder_decoder: the target has ", target.batch.count(),
            " sequences but the source has ", source.batch.count(), "; needs as many");
    const auto memory = encode(t, source);
    return scores(decoder(embed_tokens(t, embed, position, target.ids, target.batch), memory));
  }
  /// The rows that the decoder looks at (source tokens × width).
  var<S> encode(tape<S>& t, const tokens& source) const {
    const auto& table = source_embed.table ? source_embed : embed;
    return encoder_norm(encoder(embed_tokens(t, table, source_position, source.ids, source.batch)));
  }

  /// The next tokens of each sequence.
  logits<S> operator()(tape<S>& t, const tokens& target, state& st) const {
    const sequences here = st.seen.place("encoder_decoder", target.batch);
    auto y = scores(decoder(embed_tokens(t, embed, position, target.ids, here), st.layers));
    st.seen.add(here);
    return y;
  }

  /// Encodes the sources; room.capacity is the target's, room.sequences as many as the sources.
  state make_state(state_sizes room, const tokens& source) const {
    require(room.sequences == source.batch.count(), "encoder_decoder: room for ", room.sequences, " sequences but the source has ",
            source.batch.count(), "; needs as many");
    tape<S> quiet{recording::off};
    return {tokens_seen(room), decoder.make_state(room, encode(quiet, source))};
  }

  /// Turns the keys of a state again, once, as language_model's; what the encoder read stays as it was.
  void turn_again(state& st) const { turn_again(st, st.seen.declared()); }
  void turn_again(state& st, Index length) const {
    decoder.turn_again(st.layers, length);
    st.seen.declare(length);
  }

  template <class M>
  static auto slots(M& m) {
    return std::tie(m.source_position, m.position);
  }
  template <class M>
  static auto fields(M& m) {
    return std::tuple_cat(formwork::fields("embedding", m.embed, "source_embedding", m.source_embed),
                          policy_field("source_position", m.source_position), policy_field("position", m.position),
                          formwork::fields("encoder", m.encoder, "encoder_norm", m.encoder_norm, "decoder", m.decoder,
                                           "decoder_norm", m.decoder_norm, "head.weight", m.head));
  }

 private:
  logits<S> scores(const var<S>& x) const {
    auto y = decoder_norm(x);
    return sizes.head == tying::own ? logits<S>::by_weight(std::move(y), head) : logits<S>::by_table(std::move(y), embed.table);
  }
};

}  // namespace formwork
