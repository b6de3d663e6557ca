// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/score.hpp>
#include <formwork/tape/fields.hpp>
#include <formwork/tape/tape.hpp>

#include <utility>

namespace formwork::inline FORMWORK_ABI {

/// A formula with the numbers it learns, as the kernel takes it.
template <number S, class Formula>
struct formula_of_numbers {
  using plugs_into = slot::score;
  static constexpr int learned = static_cast<int>(Formula::start.size());

  Formula formula;
  view<const S> numbers;  ///< (heads × learned)

  struct of_head {
    const Formula& formula;
    const S* numbers;

    template <class T>
    FORMWORK_INLINE T operator()(T score, score_site<T> at) const {
      return [&]<int... i>(std::integer_sequence<int, i...>) {
        const T values[] = {variable<T>(typename T::scalar(numbers[i]), 1 + i)...};
        at.learned = values;
        return formula(score, at);
      }(std::make_integer_sequence<int, learned>());
    }
  };
  of_head at_head(Index head, Index) const { return {formula, numbers.row(head)}; }

  template <class T>
  T operator()(T score, score_site<T> at) const {
    return at_head(at.head, at.heads)(score, at);
  }
};

/// Whose a learned number is.
enum class numbers_of {
  each_head,
  all_heads  ///< of the layer
};

/// A score formula of one's own with numbers that are learned. It says where they start and reads them as at.learned[0], ...:
///
///   struct bent {
///     static constexpr std::array start = {30.0, 30.0};
///     template <class T> T operator()(T score, score_site<T> at) const { return at.learned[0] * tanh(score / at.learned[1]); }
///   };
///   attention<float, causal, learned_formula<float, bent>>
///
/// Shapes    numbers (learned × heads), or (learned × 1) for all_heads; role gain.
/// Numerics  slopes by duals, exact. The gradient is summed in double: a row's keys in order, the rows of a sequence, then the
///           sequences.
/// Cost      the formula with one slope more a number in the backward.
/// Differs   a formula without numbers is a score policy itself.
template <number S, class Formula>
struct learned_formula {
  using plugs_into = slot::score;
  using scalar = S;
  static constexpr int learned = formula_of_numbers<S, Formula>::learned;
  static_assert(score_formula<Formula, pack<S>> && score_formula<Formula, dual<pack<S>, 1 + learned>>,
                "formwork: a learned formula is template <class T> T operator()(T score, score_site<T> at) const");

  Formula formula = {};  ///< with constants of its own
  numbers_of whose = numbers_of::each_head;
  parameter<S> values = {};

  template <class Builder>
  static learned_formula make(const Builder& b, const learned_formula& wanted) {
    matrix<S> start(learned, wanted.whose == numbers_of::each_head ? b.sizes.heads : 1);
    for (Index i = 0; i < learned; ++i) fill(start.rows(i, 1), static_cast<S>(Formula::start[static_cast<std::size_t>(i)]));
    return {wanted.formula, wanted.whose, {std::move(start), role::gain}};
  }

  /// (heads × learned).
  var<S> numbers(tape<S>& t, Index heads) const {
    auto y = t.output(heads, learned, share(sequences{heads}));
    for (Index h = 0; h < heads; ++h)
      for (Index i = 0; i < learned; ++i) y.write()(h, i) = values.value()(i, values.cols() == 1 ? 0 : h);
    return record(
        y,
        [d = gradient_of(values)](matrix<S>& dy) {
          d.add([&](view<S> g, start how) {
            if (how == start::fresh) fill(g, S(0));
            for (Index h = 0; h < dy.rows(); ++h)
              for (Index i = 0; i < learned; ++i) g(i, g.cols() == 1 ? 0 : h) += dy(h, i);
          });
        },
        values);
  }

  template <class M>
  static auto fields(M& m) {
    return formwork::fields("numbers", m.values);
  }
};

}  // namespace formwork
