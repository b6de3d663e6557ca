// SPDX-License-Identifier: MIT
// expect: formwork: encoder_decoder needs a layer for each side: a block<S, attention<S, full>, ...> for the encoder
#include <formwork/attention.hpp>
#include <formwork/feedforward.hpp>
#include <formwork/mask.hpp>
#include <formwork/model.hpp>

namespace fw = formwork;

using reads = fw::block<float, fw::attention<float, fw::full>, fw::mlp<float>>;
using writes = fw::decoder_block<float, fw::attention<float, fw::causal>, fw::cross_attention<float>, fw::mlp<float>>;

#ifdef MISUSE
using chosen = fw::encoder_decoder<float, reads>;
#else
using chosen = fw::encoder_decoder<float, reads, writes>;
#endif
using parameters = decltype(chosen::fields(std::declval<chosen&>()));
