// SPDX-License-Identifier: MIT
// expect: formwork: decoder_block needs a cross mixer, such as cross_attention<S>; without one it is a block
#include <formwork/attention.hpp>
#include <formwork/feedforward.hpp>
#include <formwork/mask.hpp>
#include <formwork/model.hpp>

namespace fw = formwork;

#ifdef MISUSE
using chosen = fw::decoder_block<float, fw::attention<float, fw::causal>, fw::mlp<float>>;
#else
using chosen = fw::decoder_block<float, fw::attention<float, fw::causal>, fw::cross_attention<float>, fw::mlp<float>>;
#endif
using parameters = decltype(chosen::fields(std::declval<chosen&>()));
