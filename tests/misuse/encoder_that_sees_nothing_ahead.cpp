// SPDX-License-Identifier: MIT
// expect: formwork: no layer of this encoder sees later tokens; give at least one of them attention<S, full>
#include <formwork/attention.hpp>
#include <formwork/feedforward.hpp>
#include <formwork/mask.hpp>
#include <formwork/model.hpp>

namespace fw = formwork;

#ifdef MISUSE
using chosen = fw::encoder<float, fw::block<float, fw::attention<float, fw::causal>, fw::mlp<float>>>;
#else
using chosen = fw::encoder<float, fw::block<float, fw::attention<float, fw::full>, fw::mlp<float>>>;
#endif
using parameters = decltype(chosen::fields(std::declval<chosen&>()));
