// SPDX-License-Identifier: MIT
// expect: formwork: a model takes layers and an absolute position; give any other policy to a layer
#include <formwork/attention.hpp>
#include <formwork/feedforward.hpp>
#include <formwork/model.hpp>
#include <formwork/observer.hpp>

namespace fw = formwork;

template <class... Observer>
using layer = fw::block<float, fw::attention<float, fw::causal, Observer...>, fw::mlp<float>>;

#ifdef MISUSE
using chosen = fw::language_model<float, layer<>, fw::row_entropy>;
#else
using chosen = fw::language_model<float, layer<fw::row_entropy>>;
#endif
using parameters = decltype(chosen::fields(std::declval<chosen&>()));
