// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/module.hpp>
#include <formwork/contract/with_scalar.hpp>
#include <formwork/core/dual_pack.hpp>
#include <formwork/core/random.hpp>
#include <formwork/tape/fields.hpp>
#include <formwork/tape/tape.hpp>

#include <algorithm>
#include <concepts>
#include <tuple>
#include <type_traits>
#include <utility>

namespace formwork::inline FORMWORK_ABI {

/// Walks two modules of one composition but for their scalars: parameters(p, q) for each pair of parameters, values(a, b) for each
/// pair of slots.
template <class T, class U, class Parameters, class Values>
void for_each_pair(T& a, U& b, Parameters&& parameters, Values&& values) {
  using module = std::remove_cv_t<T>;
  using other = std::remove_cv_t<U>;
  const auto inside = [&](auto& m, auto& n) { for_each_pair(m, n, parameters, values); };
  const auto in_turn = [](const auto& x, const auto& y, auto f) {
    [&]<std::size_t... i>(std::index_sequence<i...>) {
      (f(std::get<i>(x), std::get<i>(y)), ...);
    }(std::make_index_sequence<std::tuple_size_v<std::remove_cvref_t<decltype(x)>>>());
  };
  if constexpr (is_parameter<module>::value) {
    parameters(a, b);
  } else {
    if constexpr (has_slots<module>) in_turn(module::slots(a), other::slots(b), values);
    if constexpr (has_fields<module>) {
      in_turn(module::fields(a), other::fields(b), [&](auto m, auto n) { inside(m.value, n.value); });
    } else if constexpr (either_module<module>) {
      [&]<std::size_t... k>(std::index_sequence<k...>) {
        ((a.index() == k ? inside(std::get<k>(a), std::get<k>(b)) : void()), ...);
      }(std::make_index_sequence<std::variant_size_v<module>>());
    } else {
      auto n = b.begin();
      for (auto& m : a) inside(m, *n++);
    }
  }
}

/// The matrix of second derivatives of a loss by all that a model learns, to be multiplied with: the model is run once more on
/// numbers with slopes, whose direction is v; then the slopes of its gradients are H v. `loss(tape, model)` computes the 1 × 1 loss
/// and can be called with either scalar:
///
///   hessian h(model, [&](auto& tape, const auto& model) { return cross_entropy(model(tape, x), y); });
///   matrix<float> hv = h * v;
///
/// Values that the model's parts were made with and that are in no slot (a norm's epsilon, the sizes of a policy that learns) are
/// given again, with this scalar: hessian h(model, loss, t5<dual_number<float>>{.buckets = 64}).
///
/// Shapes    v, H v (1 × size()): the parameters that are not frozen, one after another, in the order of fields().
/// Numerics  the loss and its gradients have the plain model's bits; H v has the same bits for any number of threads. In double it
///           differs from central differences of gradients by ≤ 1e-8 of its largest number (hessian_test.cpp). Dropout draws the
///           same in every product.
/// Cost      a product is a forward and backward pass of three times the operations and twice the memory; beside that the model's
///           numbers twice more.
/// Throws    argument_error where v has another size, or the loss of the model run again is not the model's; numeric_error
///           where the loss is not finite.
/// Source    Pearlmutter, Neural Computation 6(1), 1994, doi:10.1162/neco.1994.6.1.147.
/// Differs   a model is a template of its scalar and of parts that are (with_scalar); what is written for plain numbers alone, as
///           linear attention and state spaces are, does not compile and says so.
template <class Model, class Loss>
class hessian {
 public:
  using scalar = typename Model::scalar;
  using dual_scalar = dual_number<scalar>;
  using twin = with_scalar<Model, dual_scalar>;

  /// Keeps the model: later products are of what it has learned by then.
  template <class... Value>
  hessian(const Model& model, Loss loss, const Value&... value)
      : model_(model), loss_(std::move(loss)), twin_(made(model, value...)) {
    follow({});
    const scalar here = loss_of(model_), again = value_of(loss_of(twin_));
    require(here == again, "hessian: the loss is ", here, " but ", again, " of the model made again; give hessian() the values "
            "that make() was given, with the scalar dual_number<S>, and a loss that is the same in every call");
  }

  /// How many numbers are learned.
  Index size() const {
    Index total = 0;
    for_each_parameter(model_, [&](const auto& p) { total += p.frozen() ? 0 : p.size(); });
    return total;
  }

  /// H v.
  matrix<scalar> operator*(view<const scalar> v) const {
    require(v.rows() == 1 && v.cols() == size(), "hessian: v is ", shape_text(v), "; needs (1 × ", size(), ")");
    follow(v.data());
    tape<dual_scalar> t;
    t.backward(loss_(t, std::as_const(twin_)));
    matrix<scalar> product(1, size());
    scalar* to = product.data();
    for_each_parameter(twin_, [&](parameter<dual_scalar>& p) {
      if (p.frozen()) return;
      const view<const dual_scalar> g = std::as_const(p).gradient();
      for (Index i = 0; i < p.size(); ++i) *to++ = p.has_gradient() ? g.data()[i].slope[0] : scalar(0);
    });
    return product;
  }
  matrix<scalar> operator*(const matrix<scalar>& v) const { return *this * v.all(); }

 private:
  template <class... Value>
  static twin made(const Model& model, const Value&... value) {
    rng any(0);
    return twin::make(model.sizes, any, value...);
  }

  /// The twin becomes the model as it is now, moving along v; at rest where v is null.
  void follow(const scalar* v) const {
    for_each_pair(
        model_, twin_,
        [&](const parameter<scalar>& from, parameter<dual_scalar>& to) {
          if (!from && !to) return;
          require(from && to && from.rows() == to.rows() && from.cols() == to.cols(),
                  "hessian: a parameter has another shape in the model made again; give hessian() the values that make() was given");
          to.mark_stale();
          from.frozen() ? to.freeze() : to.unfreeze();
          const bool moves = v && !from.frozen();
          for (Index i = 0; i < from.size(); ++i) to.value().data()[i] = {from.value().data()[i], moves ? v[i] : scalar(0)};
          if (moves) v += from.size();
        },
        []<class A, class B>(const A& from, B& to) {
          if constexpr (std::same_as<A, B>) to = from;
        });
  }

  template <class M>
  typename M::scalar loss_of(const M& model) const {
    tape<typename M::scalar> t;
    return loss_(t, model).item();
  }

  const Model& model_;
  Loss loss_;
  mutable twin twin_;
};

}  // namespace formwork
