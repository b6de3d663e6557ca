// SPDX-License-Identifier: MIT
// expect: formwork: this part is written for plain numbers, template <real S>; with_scalar needs template <number S>
#include <formwork/formwork.hpp>

namespace fw = formwork;

#ifdef MISUSE
using mixer = fw::linear_attention<float, fw::causal>;
#else
using mixer = fw::attention<float, fw::causal>;
#endif
using model = fw::language_model<float, fw::block<float, mixer, fw::mlp<float>>>;
using twin = fw::with_scalar<model, fw::dual_number<float>>;
using parameters = decltype(twin::fields(std::declval<twin&>()));
