// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/random.hpp>
#include <formwork/train/training_batch.hpp>

namespace formwork::inline FORMWORK_ABI {

/// The masked-token objective: of the chosen tokens 80 % become the mask, 10 % any token, 10 % stay; the model is to give what
/// stood there, and nothing else counts.
///
///   const auto batch = masked_tokens{.mask = 256}(text.draw(8, 64, rng).input, rng);
///   tape.backward(cross_entropy(model(tape, batch.input), batch.target));
///
/// Numerics  every token is chosen with probability `rate`; where none is, one at random, so that there is a loss.
/// Throws    argument_error for probabilities outside [0, 1], or tokens that are the mask already.
/// Source    Devlin et al., 1810.04805, section 3.1.
struct masked_tokens {
  Index mask;               ///< the id that stands for a hidden token; any token is drawn from those below it
  double rate = 0.15;       ///< of tokens that count
  double hidden = 0.8;      ///< of those, become the mask
  double replaced = 0.1;    ///< of those, become any token

  training_batch operator()(tokens x, rng& random) const {
    require(rate >= 0 && rate <= 1 && hidden >= 0 && replaced >= 0 && hidden + replaced <= 1, "masked_tokens: rate is ", rate,
            ", hidden ", hidden, ", replaced ", replaced, "; needs probabilities, the last two of them together at most 1");
    for (const Index id : x.ids)
      require(0 <= id && id < mask, "masked_tokens: a token has id ", id, "; needs 0 <= id < mask, which is ", mask);
    std::vector<Index> nothing(x.ids.size(), -1);
    training_batch r{std::move(x), std::move(nothing)};
    Index chosen = 0;
    const auto choose = [&](std::size_t i) {
      Index& id = r.input.ids[i];
      r.target[i] = id;
      const double u = random.uniform();
      if (u < hidden)
        id = mask;
      else if (u < hidden + replaced)
        id = random.below(mask);
      ++chosen;
    };
    for (std::size_t i = 0; i < r.target.size(); ++i)
      if (random.uniform() < rate) choose(i);
    if (chosen == 0 && !r.target.empty()) choose(static_cast<std::size_t>(random.below(static_cast<Index>(r.target.size()))));
    return r;
  }
};

}  // namespace formwork
