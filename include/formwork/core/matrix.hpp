// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/error.hpp>
#include <formwork/core/memory.hpp>
#include <formwork/core/pack.hpp>

#include <algorithm>
#include <cstring>
#include <type_traits>
#include <utility>

namespace formwork::inline FORMWORK_ABI {

// The conventions, obeyed everywhere:
// - An activation is a row-major matrix (tokens × width). A batch is ragged: the rows of all sequences one after another,
//   with `sequences` (core/sequences.hpp) holding the offsets. There is no padding.
// - Weights are (in × out), y = x W + b. Loaders of (out × in) checkpoints transpose.
// - Heads are neighbouring blocks of columns: head h of width d is columns h d .. h d + d - 1.
// - Positions are absolute and 0-based; a causal query at position p sees keys at positions <= p.
// - Gradients accumulate. Sizes are Index, signed.

/// Rows of numbers somewhere in memory, not owned: element (i, j) is data[i * stride + j].
template <class S>
struct view {
  S* data_ = nullptr;
  Index rows_ = 0, cols_ = 0, stride_ = 0;

  view() = default;
  view(S* data, Index rows, Index cols, Index stride) : data_(data), rows_(rows), cols_(cols), stride_(stride) {}
  view(S* data, Index rows, Index cols) : view(data, rows, cols, cols) {}
  template <class T>
    requires(std::same_as<const T, S> && !std::same_as<T, S>)
  view(view<T> other) : view(other.data_, other.rows_, other.cols_, other.stride_) {}

  S* data() const { return data_; }
  Index rows() const { return rows_; }
  Index cols() const { return cols_; }
  Index stride() const { return stride_; }
  Index size() const { return rows_ * cols_; }
  bool empty() const { return rows_ == 0 || cols_ == 0; }

  S* row(Index i) const { return data_ + i * stride_; }
  S& operator()(Index i, Index j) const { return data_[i * stride_ + j]; }

  /// Rows first .. first + count - 1; columns likewise.
  view rows(Index first, Index count) const { return {row(first), count, cols_, stride_}; }
  view cols(Index first, Index count) const { return {data_ + first, rows_, count, stride_}; }
};

/// A read-only argument whose scalar is deduced from another argument.
template <class S>
using const_view = std::type_identity_t<view<const S>>;

/// Owned row-major numbers in the pool, 64-byte aligned, rows without gaps. Copies copy.
template <class S>
class matrix {
 public:
  matrix() = default;
  /// Uninitialised.
  matrix(Index rows, Index cols) : rows_(rows), cols_(cols) {
    require(rows >= 0 && cols >= 0, "matrix: ", rows, " × ", cols, " is not a size; needs both >= 0");
    require(rows == 0 || cols <= (Index(1) << 45) / Index(sizeof(S)) / rows, "matrix: ", rows, " × ", cols, " does not fit");
    if (rows > 0 && cols > 0) data_ = static_cast<S*>(pool::instance().take(static_cast<std::size_t>(rows * cols) * sizeof(S)));
  }
  matrix(Index rows, Index cols, S value) : matrix(rows, cols) { fill(value); }
  explicit matrix(view<const S> other) : matrix(other.rows(), other.cols()) {
    for (Index i = 0; i < rows_; ++i) std::copy_n(other.row(i), cols_, row(i));
  }
  matrix(const matrix& other) : matrix(view<const S>(other)) {}
  matrix(matrix&& other) noexcept { swap(other); }
  matrix& operator=(matrix other) noexcept {
    swap(other);
    return *this;
  }
  ~matrix() { pool::instance().give(data_); }

  void swap(matrix& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(rows_, other.rows_);
    std::swap(cols_, other.cols_);
  }
  void fill(S value) { std::fill_n(data_, size(), value); }

  S* data() { return data_; }
  const S* data() const { return data_; }
  Index rows() const { return rows_; }
  Index cols() const { return cols_; }
  Index stride() const { return cols_; }
  Index size() const { return rows_ * cols_; }
  bool empty() const { return size() == 0; }
  S* row(Index i) { return data_ + i * cols_; }
  const S* row(Index i) const { return data_ + i * cols_; }
  S& operator()(Index i, Index j) { return data_[i * cols_ + j]; }
  const S& operator()(Index i, Index j) const { return data_[i * cols_ + j]; }

  operator view<S>() { return {data_, rows_, cols_, cols_}; }
  operator view<const S>() const { return {data_, rows_, cols_, cols_}; }
  view<S> all() { return *this; }
  view<const S> all() const { return *this; }
  view<S> rows(Index first, Index count) { return all().rows(first, count); }
  view<const S> rows(Index first, Index count) const { return all().rows(first, count); }
  view<S> cols(Index first, Index count) { return all().cols(first, count); }
  view<const S> cols(Index first, Index count) const { return all().cols(first, count); }

 private:
  S* data_ = nullptr;
  Index rows_ = 0, cols_ = 0;
};

/// How a kernel treats what its output already holds.
enum class start {
  fresh,     ///< overwrite: sums start at zero, the old content is never read
  continued  ///< add to it: sums continue from the old content
};

/// The same numbers as an Eigen map, for readable code outside the kernels.
template <class S>
auto eigen(view<S> m) {
  using dense = Eigen::Matrix<std::remove_const_t<S>, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  using type = std::conditional_t<std::is_const_v<S>, const dense, dense>;
  return Eigen::Map<type, Eigen::Unaligned, Eigen::OuterStride<>>(m.data(), m.rows(), m.cols(), Eigen::OuterStride<>(m.stride()));
}
template <class S>
auto eigen(matrix<S>& m) {
  return eigen(m.all());
}
template <class S>
auto eigen(const matrix<S>& m) {
  return eigen(m.all());
}

}  // namespace formwork
