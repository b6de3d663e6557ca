// SPDX-License-Identifier: MIT
// expect: formwork: block needs a mixer, such as attention<S, causal>
#include <formwork/attention.hpp>
#include <formwork/feedforward.hpp>
#include <formwork/model.hpp>

namespace fw = formwork;

#ifdef MISUSE
using chosen = fw::block<float, fw::mlp<float>>;
#else
using chosen = fw::block<float, fw::attention<float, fw::causal>, fw::mlp<float>>;
#endif
using parameters = decltype(chosen::fields(std::declval<chosen&>()));
