// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/pack.hpp>

#include <type_traits>

namespace formwork::inline FORMWORK_ABI {

/// Whether a template can be composed of these: its own constraints hold.
template <template <class, class...> class M, class... Part>
concept composes = requires { typename M<Part...>; };

template <class P, number T>
struct scalar_replaced : std::type_identity<P> {
  static_assert(!requires { typename P::scalar; },
                "formwork: with_scalar makes a part again whose first template argument is its scalar, as in mlp<float, gelu>; "
                "write this one so");
};
template <template <class, class...> class M, number S, class... Part, number T>
struct scalar_replaced<M<S, Part...>, T> {
  static_assert(composes<M, T, typename scalar_replaced<Part, T>::type...>,
                "formwork: this part is written for plain numbers, template <real S>; with_scalar needs template <number S>, which "
                "holds for numbers with slopes too");
  using type = M<T, typename scalar_replaced<Part, T>::type...>;
};

/// The same composition of another scalar, all the way down: with_scalar<block<float, attention<float, causal>, mlp<float>>,
/// double> is block<double, attention<double, causal>, mlp<double>>.
template <class Module, number T>
using with_scalar = typename scalar_replaced<Module, T>::type;

}  // namespace formwork
