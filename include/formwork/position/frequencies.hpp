// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/error.hpp>
#include <formwork/core/memory.hpp>
#include <formwork/core/pack.hpp>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace formwork::inline FORMWORK_ABI {

/// What the inverse frequency of a pair of columns may depend on.
struct frequency_site {
  Index pair = 0;           ///< 0 .. rotated_width / 2 - 1
  Index rotated_width = 2;  ///< of one head
  double base = 10000;
  double extension = 1;       ///< how many times longer than in training sequences are to be
  Index length = 0;           ///< declared for the call or the state; 0: none
  Index training_length = 0;  ///< 0: not said
  double exponent = 0.625;    ///< of ntk_mixed

  double pairs() const { return static_cast<double>(rotated_width) / 2; }
};

// A table of inverse frequencies is one of these formulas, or one of the user's own. With base b, width d, k the extension
// and i the pair, each but the first is the geometric series slowed down by a power of k:
//
//   geometric       b^(-2i/d)                           wavelengths from 2π to almost 2π b
//   interpolated    geometric / k                       Chen et al., 2306.15595
//   ntk_old         geometric / k^(2i/d)                kexue.fm/archives/9675; the base is b k
//   ntk_aware       geometric / k^(2i/(d-2))            bloc97; the base is b k^(d/(d-2)), the last pair is interpolated
//   ntk_fixed       geometric / k^(2(i+1)/d)            kexue.fm/archives/9706; the last pair is interpolated
//   ntk_mixed       geometric / k^((2(i+1)/d)^exponent) the same; exponent 1 is ntk_fixed, 0 interpolated
//   dynamic         ntk_aware with k from the declared length; as in Hugging Face's transformers and jquesnelle's yarn
//
// Others leave the pairs alone that make many turns within the training length, interpolate those that make few, and blend
// between; yarn() gives the first of them as a value, with the paper's temperature:
//
//   ntk_by_parts          by turns, from 1 to 32              Peng et al., 2309.00071; kexue.fm/archives/9948
//   ntk_by_parts_in_code  by pairs, between those of 32 and 1 turn, rounded outwards   their code, and so most checkpoints
//   llama3                by turns, from 1 to 4               Llama 3.1, whose base is 500,000, k 8 and training length 8192

inline double geometric(const frequency_site& at) {
  return std::pow(at.base, -static_cast<double>(at.pair) / at.pairs());
}
inline double interpolated(const frequency_site& at) { return geometric(at) / at.extension; }
inline double ntk_old(const frequency_site& at) {
  return geometric(at) * std::pow(at.extension, -static_cast<double>(at.pair) / at.pairs());
}
/// Differs   a head of one pair is not slowed down: the paper's exponent is 0/0.
inline double ntk_aware(const frequency_site& at) {
  if (at.pair == 0) return 1;
  return geometric(at) * std::pow(at.extension, -static_cast<double>(at.pair) / (at.pairs() - 1));
}
inline double ntk_fixed(const frequency_site& at) {
  return geometric(at) * std::pow(at.extension, -static_cast<double>(at.pair + 1) / at.pairs());
}
/// Source    the article's exponent is .625; the repository bojone/rerope has .75.
inline double ntk_mixed(const frequency_site& at) {
  const double place = static_cast<double>(at.pair + 1) / at.pairs();
  return geometric(at) * std::pow(at.extension, -std::pow(place, at.exponent));
}
/// k = extension · length / training_length - (extension - 1). Up to the training length, and where no length is declared,
/// this is `geometric`, bit for bit.
///
/// Throws    argument_error without a training length.
inline double dynamic(const frequency_site& at) {
  require(at.training_length > 0, "dynamic: training_length is ", at.training_length,
          "; needs the length of the sequences in training");
  if (at.length <= at.training_length) return geometric(at);
  const double longer = static_cast<double>(at.length) / static_cast<double>(at.training_length);
  frequency_site slower = at;
  slower.extension = at.extension * longer - (at.extension - 1);
  return ntk_aware(slower);
}

/// The geometric frequency where `kept` is 1, the interpolated one where it is 0.
inline double blended(const frequency_site& at, double kept) {
  kept = std::clamp(kept, 0.0, 1.0);
  return geometric(at) * (kept + (1 - kept) / at.extension);
}
/// How often a pair turns within the training length.
inline double turns_in_training(const frequency_site& at) {
  require(at.training_length > 0, "this table goes by turns within the training length, which is ", at.training_length,
          "; needs the length of the sequences in training");
  return static_cast<double>(at.training_length) * geometric(at) / (2 * std::numbers::pi);
}
inline double ntk_by_parts(const frequency_site& at) { return blended(at, (turns_in_training(at) - 1) / (32 - 1)); }
inline double llama3(const frequency_site& at) { return blended(at, (turns_in_training(at) - 1) / (4 - 1)); }
inline double ntk_by_parts_in_code(const frequency_site& at) {
  const double turns_of_first = turns_in_training({.training_length = at.training_length});
  const auto pair_of = [&](double turns) { return at.pairs() * std::log(turns_of_first / turns) / std::log(at.base); };
  const double low = std::max(std::floor(pair_of(32)), 0.0);
  const double high = std::min(std::ceil(pair_of(1)), static_cast<double>(at.rotated_width - 1));
  return blended(at, 1 - (static_cast<double>(at.pair) - low) / (high > low ? high - low : 0.001));
}

/// The inverse frequencies of a rotary position as one value: a formula and its numbers. Another table is another value,
/// not another type, so that a trained model can be given one at run time:
///
///   assign(model, rope{.inverse_frequencies = {.formula = ntk_mixed, .extension = 8}});
///
/// Throws    argument_error from of() for a base or an extension that is not above 0.
struct frequencies {
  double (*formula)(const frequency_site&) = geometric;
  double extension = 1;
  Index training_length = 0;
  double exponent = 0.625;  ///< of ntk_mixed
  double factor = 1;        ///< on cos and sin, so its square is on the scores
  Index length = 0;         ///< where neither the call nor the state declares one

  /// Of all pairs.
  pooled_vector<double> of(double base, Index rotated_width) const {
    require(base > 0, "frequencies: base is ", base, "; needs > 0");
    require(extension > 0, "frequencies: extension is ", extension, "; needs > 0");
    pooled_vector<double> inverse;
    for (Index i = 0; i < rotated_width / 2; ++i)
      inverse.push_back(formula({i, rotated_width, base, extension, length, training_length, exponent}));
    return inverse;
  }
  friend bool operator==(const frequencies&, const frequencies&) = default;
};

/// A model's table for sequences `extension` times as long as in training, without or after some further training: ntk_by_parts,
/// or ntk_by_parts_in_code for checkpoints trained by that, and a softmax the sharper the longer they are: queries and keys
/// are multiplied by 0.1 log(extension) + 1.
///
/// Source    Peng et al., 2309.00071, sections 3.2 to 3.4.
inline frequencies yarn(double extension, Index training_length, double (*by_parts)(const frequency_site&) = ntk_by_parts) {
  return {.formula = by_parts,
          .extension = extension,
          .training_length = training_length,
          .factor = extension > 1 ? 0.1 * std::log(extension) + 1 : 1};
}

}  // namespace formwork
