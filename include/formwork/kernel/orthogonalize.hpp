// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/kernel/symmetric_product.hpp>
#include <formwork/kernel/transform.hpp>
#include <formwork/kernel/update.hpp>

#include <algorithm>
#include <cmath>
#include <span>

namespace formwork::inline FORMWORK_ABI {

/// One Newton–Schulz iteration: every singular value x becomes a x + b x³ + c x⁵, singular vectors stay.
struct odd_quintic {
  double a, b, c;
};

/// Fast rather than convergent: five iterations bring what lies in [0.002, 1] into [0.68, 1.21]. Jordan, Muon.
inline constexpr odd_quintic tuned_quintic{3.4445, -4.7750, 2.0315};
/// These two converge to 1, with errors that are cubed and squared; kexue.fm/archives/10592.
inline constexpr odd_quintic convergent_quintic{15. / 8, -5. / 4, 3. / 8};
inline constexpr odd_quintic convergent_cubic{3. / 2, -1. / 2, 0};

/// The epilogue factor value + other_factor other.
template <class S>
struct blend {
  pack<S> factor;
  view<const S> other = {};
  pack<S> other_factor = pack<S>(0);

  pack<S> operator()(Index row, Index col, pack<S> value, Index count) const {
    if (!other.data()) return factor * value;
    return fma(other_factor, pack<S>::load(other.row(row) + col, count), factor * value);
  }
  void operands(auto f) const { f(other); }
};

/// Iterations on the Gram matrix A = X Xᵀ of an X that is not touched, until X' = P X:
///
///   Q = a + b A + c A²,  P ← Q P,  A ← Q A Q
///
/// Every matrix is a polynomial of the first A, so that all products are symmetric and cost half.
template <class S>
class gram_iterations {
 public:
  explicit gram_iterations(Index n) : a_(n, n), b_(n, n), next_(n, n), p_(n, n) {}

  view<S> a() { return a_; }
  view<S> p() { return p_; }

  /// From the A that was filled in to P, which begins as `scale` times the identity.
  void run(std::span<const odd_quintic> iterations, double scale) {
    for (std::size_t i = 0; i < iterations.size(); ++i) {
      const odd_quintic& q = iterations[i];
      product(b_, a_, a_, {pack<S>(q.c), a_, pack<S>(q.b)});  // Q - a
      if (i == 0)
        begin(q.a, scale);
      else
        multiply_by_q(p_, q.a);
      if (i + 1 == iterations.size()) return;
      multiply_by_q(a_, q.a);
      multiply_by_q(a_, q.a);
    }
  }

 private:
  void begin(double a, double scale) {
    transform(p_.all(), [s = pack<S>(scale)](pack<S> b) { return s * b; }, b_);
    for (Index i = 0; i < p_.rows(); ++i) p_(i, i) += static_cast<S>(scale * a);
  }
  void multiply_by_q(matrix<S>& m, double a) {
    product(next_, b_, m, {pack<S>(1), m, pack<S>(a)});
    m.swap(next_);
  }
  static void product(view<S> c, const_view<S> x, const_view<S> y, const blend<S>& epilogue) {
    symmetric_product<S>(operands::tn, c, x, y, epilogue);  // rows of both are packed as they lie
  }

  matrix<S> a_, b_, next_, p_;
};

/// How many iterations one Gram matrix serves: its rounding errors in the directions of small singular values grow by a² in
/// each, and at 512 they begin to show beside those of the plain iteration (orthogonalize_test.cpp).
inline std::size_t iterations_of_one_gram_matrix(std::span<const odd_quintic> iterations) {
  double growth = 1;
  std::size_t count = 0;
  for (; count < iterations.size() && growth < 512; ++count) growth *= iterations[count].a * iterations[count].a;
  return count;
}

/// y = x with its singular values moved towards 1, msign(x) = (x xᵀ)^(-1/2) x where they arrive; then the epilogue:
///
///   X = x / (‖x‖ + ε), Frobenius;  for each iteration  A = X Xᵀ,  X ← a X + (b A + c A²) X;  y = X
///
/// Shapes    x and y (r × c), apart. For r > c it is A = Xᵀ X and X ← X (a + b A + c A²), which gives the same.
/// Numerics  0 gives 0, and where ‖x‖ >> ε the scale of x does not matter. The same bits for any number of threads. Errors are
///           one to four times those of the iteration written out, up to ten for three tuned ones: 5e-6 in float and 5e-14
///           in double for singular values over six decades (orthogonalize_test.cpp).
/// Cost      for n = min(r, c), t n = max(r, c) and five tuned iterations (6 t + 14) n³ operations; written out, they are
///           (20 t + 10) n³. Memory for four n × n matrices and one r × c.
/// Throws    argument_error where there are no iterations.
/// Source    Jordan et al., kellerjordan.github.io/posts/muon (ε and coefficients); Björck and Bowie, 1971; Guo and Higham,
///           SIAM J. Matrix Anal. 28(3), 2006 (iterations on the Gram matrix).
/// Differs   X is formed after every few iterations only; a finite sum of squares of x is needed.
template <class S, class Epilogue = none>
void orthogonalize(view<S> y, const_view<S> x, std::span<const odd_quintic> iterations, double epsilon = 1e-7,
                   const Epilogue& epilogue = {}) {
  require(!iterations.empty(), "orthogonalize: there are no iterations; needs at least one");
  const bool wide = x.rows() <= x.cols();
  const double norm = std::sqrt(squared_norm(x));
  double scale = norm > 0 ? 1 / (norm + epsilon) : 0;
  gram_iterations<S> gram(std::min(x.rows(), x.cols()));
  const auto multiply = [&](view<S> to, const auto& after) {
    if (wide)
      product_nn<S>(to, gram.p(), x, start::fresh, after);
    else
      product_nn<S>(to, x, gram.p(), start::fresh, after);
  };
  for (matrix<S> between;; scale = 1) {
    const auto now = iterations.first(iterations_of_one_gram_matrix(iterations));
    iterations = iterations.subspan(now.size());
    symmetric_product<S>(wide ? operands::nt : operands::tn, gram.a(), x, x, blend<S>{pack<S>(scale * scale)});
    gram.run(now, scale);
    if (iterations.empty()) return multiply(y, epilogue);
    matrix<S> next(x.rows(), x.cols());
    multiply(next, none());
    between.swap(next);
    x = between.all();
  }
}

}  // namespace formwork
