// SPDX-License-Identifier: MIT
// expect: formwork: -ffast-math breaks its bitwise promises
#ifdef MISUSE
#define __FAST_MATH__ 1
#endif
#include <formwork/core/abi.hpp>
