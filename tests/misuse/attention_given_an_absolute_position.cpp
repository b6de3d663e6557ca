// SPDX-License-Identifier: MIT
// expect: formwork: an absolute position is added to the embeddings of tokens; give it to the model, not to attention
#include <formwork/attention.hpp>
#include <formwork/position.hpp>

namespace fw = formwork;

#ifdef MISUSE
using chosen = fw::attention<float, fw::causal, fw::sinusoidal>;
#else
using chosen = fw::attention<float, fw::causal, fw::rope<>>;
#endif
using parameters = decltype(chosen::fields(std::declval<chosen&>()));
