// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/error.hpp>
#include <formwork/core/memory.hpp>
#include <formwork/core/pack.hpp>

#include <cmath>

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

}  // namespace formwork
