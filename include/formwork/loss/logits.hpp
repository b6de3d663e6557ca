// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/sequences.hpp>
#include <formwork/kernel/cross_entropy.hpp>
#include <formwork/kernel/product.hpp>
#include <formwork/tape/tape.hpp>

namespace formwork::inline FORMWORK_ABI {

/// The scores of the next token, not yet multiplied: the hidden rows and the head's weights. cross_entropy(logits, targets)
/// multiplies them in chunks, value() as a whole, last() only the last row of each sequence.
///
/// Shapes    hidden (tokens × width); weight (width × vocab), or table (vocab × width) when tied.
/// Throws    argument_error where hidden.width is not the head's.
template <number S>
struct logits {
  var<S> hidden;
  typename parameter<S>::cell* head;
  head_layout form;

  static logits by_weight(var<S> hidden, const parameter<S>& weight) {
    require(hidden.cols() == weight.rows(), "head: x is ", shape_text(hidden), " but weight is ", shape_text(weight),
            "; needs x.width = weight.in");
    return {std::move(hidden), weight.address(), head_layout::width_by_vocab};
  }
  static logits by_table(var<S> hidden, const parameter<S>& table) {
    require(hidden.cols() == table.cols(), "head: x is ", shape_text(hidden), " but the table is ", shape_text(table),
            "; needs x.width = table.width");
    return {std::move(hidden), table.address(), head_layout::vocab_by_width};
  }

  Index vocab() const { return form == head_layout::width_by_vocab ? head->value.cols() : head->value.rows(); }

  /// All scores (tokens × vocab), on the tape.
  var<S> value() const {
    auto y = hidden.tape().output(hidden.rows(), vocab(), hidden.shared_batch());
    multiply(y.write(), hidden.value());
    const gradient_of_parameter<S> dw(head);
    if (!hidden.tape().records() || !(hidden.tracked() || dw.wanted())) return y;
    y.tape().push(y, [x = hidden, head = head, form = form, dw](matrix<S>& dy) {
      const view<const S> d = dy, w = head->value;
      gradient_of(x).add([&](view<S> g, start how) {
        form == head_layout::width_by_vocab ? product_nt(g, d, w, how) : product_nn(g, d, w, how);
      });
      dw.add([&](view<S> g, start how) {
        form == head_layout::width_by_vocab ? product_tn(g, x.value(), d, how) : product_tn(g, d, x.value(), how);
      });
    });
    return y;
  }
  operator var<S>() const { return value(); }

  /// Scores after the last token of each sequence (sequences × vocab), for sampling; not recorded.
  matrix<S> last() const {
    const sequences& batch = hidden.batch();
    matrix<S> rows(batch.count(), hidden.cols()), y(batch.count(), vocab());
    for (Index s = 0; s < batch.count(); ++s) {
      require(batch.length(s) > 0, "logits.last: sequence ", s, " is empty; needs at least one token");
      std::copy_n(hidden.value().row(batch.first(s) + batch.length(s) - 1), hidden.cols(), rows.row(s));
    }
    multiply(y, rows);
    return y;
  }

 private:
  void multiply(view<S> y, view<const S> x) const {
    const view<const S> w = head->value;
    form == head_layout::width_by_vocab ? product_nn(y, x, w) : product_nt(y, x, w);
  }
};

}  // namespace formwork
