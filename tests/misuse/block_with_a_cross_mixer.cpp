// SPDX-License-Identifier: MIT
// expect: formwork: block takes a residual policy, a mixer and a feed-forward part; a cross mixer belongs to a decoder_block
#include <formwork/attention.hpp>
#include <formwork/feedforward.hpp>
#include <formwork/mask.hpp>
#include <formwork/model.hpp>

namespace fw = formwork;

#ifdef MISUSE
using chosen = fw::block<float, fw::attention<float, fw::causal>, fw::cross_attention<float>, fw::mlp<float>>;
#else
using chosen = fw::decoder_block<float, fw::attention<float, fw::causal>, fw::cross_attention<float>, fw::mlp<float>>;
#endif
using parameters = decltype(chosen::fields(std::declval<chosen&>()));
