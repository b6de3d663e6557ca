// SPDX-License-Identifier: MIT
// expect: formwork: the mixer of this decoder_block sees later tokens, which a decoder is to predict; give it attention<S, causal>
#include <formwork/attention.hpp>
#include <formwork/feedforward.hpp>
#include <formwork/mask.hpp>
#include <formwork/model.hpp>

namespace fw = formwork;

#ifdef MISUSE
using chosen = fw::decoder_block<float, fw::attention<float, fw::full>, fw::cross_attention<float>, fw::mlp<float>>;
#else
using chosen = fw::decoder_block<float, fw::attention<float, fw::causal>, fw::cross_attention<float>, fw::mlp<float>>;
#endif
using parameters = decltype(chosen::fields(std::declval<chosen&>()));
