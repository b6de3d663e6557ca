// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/role.hpp>
#include <formwork/core/matrix.hpp>
#include <formwork/kernel/transform.hpp>

#include <memory>
#include <utility>

namespace formwork::inline FORMWORK_ABI {

/// A gradient that several readers of one value add to: the first write overwrites, later ones continue.
template <number S>
struct gradient_slot {
  matrix<S> sum;
  start next = start::fresh;

  /// write(view, start) adds one contribution of the given shape.
  template <class Write>
  void accumulate(Index rows, Index cols, Write&& write) {
    if (sum.rows() != rows || sum.cols() != cols) sum = matrix<S>(rows, cols), next = start::fresh;
    write(sum.all(), std::exchange(next, start::continued));
  }
  /// Adds a whole matrix of the same shape; keeps its buffer where it is the first contribution.
  void take(matrix<S>&& whole) {
    if (!holds())
      sum.swap(whole);
    else
      contribute<S>(sum, start::continued, whole);
    next = start::continued;
  }
  bool holds() const { return next == start::continued; }
};

/// A learned matrix with its gradient, role and place, in a stable heap cell: moving a model leaves the addresses that a
/// recording remembers valid; copying copies the numbers.
///
/// Shapes    weights (in × out); gains and biases (1 × width); tables (entries × width).
template <number S>
class parameter {
 public:
  using scalar = S;

  struct cell {
    matrix<S> value;
    gradient_slot<S> gradient;
    role kind = role::matrix;
    place where = place::none;
    bool frozen = false;
  };

  parameter() = default;
  parameter(matrix<S> value, role kind, place where = place::none)
      : cell_(std::make_unique<cell>(cell{std::move(value), {}, kind, where, false})) {}
  parameter(const parameter& other) : cell_(other.cell_ ? std::make_unique<cell>(*other.cell_) : nullptr) {}
  parameter(parameter&&) noexcept = default;
  parameter& operator=(parameter other) noexcept {
    cell_ = std::move(other.cell_);
    return *this;
  }

  /// False for an absent one, such as the bias of a layer made without biases.
  explicit operator bool() const { return cell_ != nullptr; }

  view<S> value() { return cell_->value; }
  view<const S> value() const { return std::as_const(cell_->value); }
  Index rows() const { return cell_->value.rows(); }
  Index cols() const { return cell_->value.cols(); }
  Index size() const { return cell_->value.size(); }
  role kind() const { return cell_->kind; }
  place where() const { return cell_->where; }

  /// The sum of what backward passes have added since mark_stale(); only while has_gradient().
  bool has_gradient() const { return cell_->gradient.holds(); }
  view<S> gradient() { return cell_->gradient.sum; }
  view<const S> gradient() const { return std::as_const(cell_->gradient.sum); }
  /// The next contribution overwrites. Called by optimizer.step.
  void mark_stale() { cell_->gradient.next = start::fresh; }

  /// A frozen parameter gets no gradient and no update.
  bool frozen() const { return cell_->frozen; }
  void freeze() {
    cell_->frozen = true;
    mark_stale();
  }
  void unfreeze() { cell_->frozen = false; }

  /// What a recorded backward remembers. A call never changes a value, so it is const; gradients live beside the value.
  cell* address() const { return cell_.get(); }

 private:
  std::unique_ptr<cell> cell_;
};

}  // namespace formwork
