// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/sequences.hpp>
#include <formwork/tape/parameter.hpp>

#include <memory>
#include <new>
#include <utility>

namespace formwork::inline FORMWORK_ABI {

template <number S>
class tape;

/// The rows of a batch, shared by all values computed from it.
using shared_sequences = std::shared_ptr<const sequences>;

inline shared_sequences share(sequences rows) {
  return std::allocate_shared<const sequences>(pool_allocator<sequences>{}, std::move(rows));
}

/// One value of a computation. Its buffer lives as long as a var reads it, its gradient as long as a recorded backward
/// may add to it. Counts are plain integers: a tape belongs to one thread.
template <number S>
struct node {
  matrix<S> value;
  gradient_slot<S> gradient;
  Index rows = 0, cols = 0;
  shared_sequences batch;
  tape<S>* owner = nullptr;
  bool tracked = false;  // whether a backward pass must reach it
  int handles = 0;       // vars and gradient handles
  int readers = 0;       // vars: users of the value

  static node* make() { return new (pool::instance().take(sizeof(node))) node; }
  void release() {
    if (--handles == 0) {
      this->~node();
      pool::instance().give(this);
    }
  }
};

/// Where a backward pass adds a contribution to dL/dx. Keeps the node, not its value.
template <number S>
class gradient_of_var {
 public:
  explicit gradient_of_var(node<S>* n) : node_(n) { ++node_->handles; }
  gradient_of_var(const gradient_of_var& other) : gradient_of_var(other.node_) {}
  gradient_of_var(gradient_of_var&& other) noexcept : node_(std::exchange(other.node_, nullptr)) {}
  gradient_of_var& operator=(gradient_of_var) = delete;
  ~gradient_of_var() {
    if (node_) node_->release();
  }

  /// Whether anything upstream learns from it; if not, skip the work.
  bool wanted() const { return node_->tracked; }

  /// write(view<S> gradient, start how) adds one contribution; not called unless wanted().
  template <class Write>
  void add(Write&& write) const {
    if (wanted()) node_->gradient.accumulate(node_->rows, node_->cols, std::forward<Write>(write));
  }

  /// Adds a whole matrix of the same shape; takes its buffer where it is the first contribution.
  void add(matrix<S>&& whole) const {
    if (wanted()) node_->gradient.take(std::move(whole));
  }

  node<S>* address() const { return node_; }

 private:
  node<S>* node_;
};

/// The same for a parameter; a frozen one wants nothing.
template <number S>
class gradient_of_parameter {
 public:
  explicit gradient_of_parameter(typename parameter<S>::cell* c) : cell_(c) {}
  bool wanted() const { return cell_ && !cell_->frozen; }
  template <class Write>
  void add(Write&& write) const {
    if (wanted()) cell_->gradient.accumulate(cell_->value.rows(), cell_->value.cols(), std::forward<Write>(write));
  }
  void add(matrix<S>&& whole) const {
    if (wanted()) cell_->gradient.take(std::move(whole));
  }

 private:
  typename parameter<S>::cell* cell_;
};

/// A value on a tape: a small counted handle. Rows are tokens of a ragged batch (or anything else), columns features.
template <number S>
class var {
 public:
  using scalar = S;

  var() = default;
  explicit var(node<S>* n) : node_(n) { ++node_->handles, ++node_->readers; }
  var(const var& other) : node_(other.node_) {
    if (node_) ++node_->handles, ++node_->readers;
  }
  var(var&& other) noexcept : node_(std::exchange(other.node_, nullptr)) {}
  var& operator=(var other) noexcept {
    std::swap(node_, other.node_);
    return *this;
  }
  ~var() {
    if (!node_) return;
    if (--node_->readers == 0) node_->value = matrix<S>();
    node_->release();
  }

  explicit operator bool() const { return node_ != nullptr; }
  Index rows() const { return node_->rows; }
  Index cols() const { return node_->cols; }
  view<const S> value() const { return std::as_const(node_->value); }
  /// For the op that computes it, before it is recorded.
  view<S> write() const { return node_->value; }
  /// The number of a 1 × 1 value.
  S item() const {
    require(rows() == 1 && cols() == 1, "item: the value is ", shape_text(*this), "; needs (1 × 1)");
    return value()(0, 0);
  }

  formwork::tape<S>& tape() const { return *node_->owner; }
  const sequences& batch() const { return *node_->batch; }
  const shared_sequences& shared_batch() const { return node_->batch; }
  bool tracked() const { return node_->tracked; }

  /// dL/dx after backward, of a value made by tape.input(); zero rows where nothing flowed.
  view<const S> gradient() const {
    if (!node_->gradient.holds()) return {nullptr, 0, cols(), cols()};
    return std::as_const(node_->gradient.sum);
  }

  /// Whether this handle is the only reader, so that an op may work in place.
  bool sole_reader() const { return node_->readers == 1; }
  node<S>* address() const { return node_; }

 private:
  node<S>* node_ = nullptr;
};

template <number S>
gradient_of_var<S> gradient_of(const var<S>& x) {
  return gradient_of_var<S>(x.address());
}
template <number S>
gradient_of_parameter<S> gradient_of(const parameter<S>& p) {
  return gradient_of_parameter<S>(p.address());
}

/// For kernels that compute several gradients in one pass. run(view, start) gets the gradient of x, or scratch where it is
/// not wanted.
template <number S, class Run>
void with_gradient(const gradient_of_var<S>& dx, Index rows, Index cols, Run&& run) {
  if (dx.wanted()) return dx.add(std::forward<Run>(run));
  matrix<S> unused(rows, cols);
  run(unused.all(), start::fresh);
}
/// run(pointer, start) gets the gradient of a one-row parameter, or null where it is not wanted.
template <number S, class Run>
void with_pointer(const gradient_of_parameter<S>& dp, Run&& run) {
  if (dp.wanted())
    dp.add([&](view<S> g, start how) { run(g.data(), how); });
  else
    run(static_cast<S*>(nullptr), start::fresh);
}

template <number S>
bool is_tracked(const var<S>& x) {
  return x.tracked();
}
template <number S>
bool is_tracked(const parameter<S>& p) {
  return p && !p.frozen();
}

}  // namespace formwork
