// SPDX-License-Identifier: MIT
// expect: formwork: attention needs a mask; state causal, full or one of your own
#include <formwork/attention.hpp>

namespace fw = formwork;

#ifdef MISUSE
using chosen = fw::attention<float>;
#else
using chosen = fw::attention<float, fw::causal>;
#endif
using parameters = decltype(chosen::fields(std::declval<chosen&>()));
