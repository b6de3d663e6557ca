// SPDX-License-Identifier: MIT
// expect: formwork: heads that mix see the same keys; give them one mask, or take heads that do not mix
#include <formwork/attention.hpp>
#include <formwork/heads.hpp>
#include <formwork/mask.hpp>

namespace fw = formwork;

using masks = fw::per_head<fw::causal, fw::anticausal>;
#ifdef MISUSE
using chosen = fw::attention<float, masks, fw::talking_heads<float>>;
#else
using chosen = fw::attention<float, masks, fw::grouped>;
#endif
using parameters = decltype(chosen::fields(std::declval<chosen&>()));
