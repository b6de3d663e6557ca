// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/version.hpp>

#if defined(__FAST_MATH__) || (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__)
#error "formwork: -ffast-math breaks its bitwise promises and its NaN handling; compile without -ffast-math/-Ofast (-O3 -march=native is what you want)"
#endif
#if !defined(__cpp_concepts) || __cplusplus < 202002L
#error "formwork: needs C++20; compile with -std=c++20 (g++ 12 or newer)"
#endif

/// The instruction set this translation unit is compiled for, as Eigen sees it.
#if defined(EIGEN_DONT_VECTORIZE)
#define FORMWORK_SIMD scalar
#elif defined(__AVX512F__) && defined(__AVX512DQ__)
#define FORMWORK_SIMD avx512
#elif defined(__AVX2__) && defined(__FMA__)
#define FORMWORK_SIMD avx2_fma
#elif defined(__AVX__)
#define FORMWORK_SIMD avx
#elif defined(__SSE4_1__)
#define FORMWORK_SIMD sse4
#elif defined(__SSE2__)
#define FORMWORK_SIMD sse2
#elif defined(__ARM_NEON)
#define FORMWORK_SIMD neon
#else
#define FORMWORK_SIMD generic
#endif

#ifdef _OPENMP
#define FORMWORK_THREADING openmp
#else
#define FORMWORK_THREADING serial
#endif

#define FORMWORK_JOIN_(major, minor, simd, threading) v##major##_##minor##_##simd##_##threading
#define FORMWORK_JOIN(major, minor, simd, threading) FORMWORK_JOIN_(major, minor, simd, threading)
#define FORMWORK_TEXT_(text) #text
#define FORMWORK_TEXT(text) FORMWORK_TEXT_(text)

/// The inline namespace of everything: version, instruction set, threading. Objects compiled with different -march or
/// -fopenmp then fail to link instead of mixing incompatible layouts and bits.
#define FORMWORK_ABI FORMWORK_JOIN(FORMWORK_VERSION_MAJOR, FORMWORK_VERSION_MINOR, FORMWORK_SIMD, FORMWORK_THREADING)

/// For functions that only make sense inside a register tile.
#define FORMWORK_INLINE __attribute__((always_inline)) inline

namespace formwork::inline FORMWORK_ABI {

/// "v0_1_avx512_openmp": recorded in checkpoints, whose bitwise self-test holds under the same tag.
inline constexpr const char* abi_tag = FORMWORK_TEXT(FORMWORK_ABI);

/// "avx512", "avx2_fma", "sse2", ...: printed by programs beside the number of threads.
inline constexpr const char* simd_name = FORMWORK_TEXT(FORMWORK_SIMD);

}  // namespace formwork
