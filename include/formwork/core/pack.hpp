// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/abi.hpp>

#include <Eigen/Core>

#include <bit>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wignored-attributes"

namespace formwork::inline FORMWORK_ABI {

using Index = Eigen::Index;

/// The scalar types of the kernels.
template <class S>
concept real = std::same_as<S, float> || std::same_as<S, double>;

/// Whether S is a number with a slope (core/dual_pack.hpp).
template <class S>
inline constexpr bool has_slope = false;

/// What kernels that can be differentiated as they stand are written for: real numbers, with a slope or without.
template <class S>
concept number = real<S> || has_slope<S>;

/// The real numbers that a number is made of.
template <number S>
struct real_in {
  using type = S;
};
template <number S>
using real_of = typename real_in<S>::type;

/// Lanes of the widest register of this instruction set: 16 floats with AVX-512, 8 with AVX2, 4 with SSE and NEON. A number with
/// a slope has as many, in two registers.
template <number S>
inline constexpr int lanes = Eigen::internal::unpacket_traits<typename Eigen::internal::packet_traits<S>::type>::size;

/// Vector registers the compiler may fill: tiles are chosen from it.
inline constexpr int vector_registers = EIGEN_ARCH_DEFAULT_NUMBER_OF_REGISTERS;

/// Eigen's packet of S with exactly N lanes (the widest one, a half of it, ..., or S itself for N = 1).
template <class S, int N, class Packet = typename Eigen::internal::packet_traits<S>::type>
struct packet_with : packet_with<S, N, typename Eigen::internal::unpacket_traits<Packet>::half> {};
template <class S, int N, class Packet>
  requires(Eigen::internal::unpacket_traits<Packet>::size == N)
struct packet_with<S, N, Packet> : std::type_identity<Packet> {};
template <class S>
  requires(lanes<S> > 1)
struct packet_with<S, 1, typename Eigen::internal::packet_traits<S>::type> : std::type_identity<S> {};

/// The compiler's own vector of N numbers, for comparisons, selection and bits; a plain number for N = 1.
template <class T, int N>
struct vector_of {
  typedef T type __attribute__((vector_size(sizeof(T) * N)));
};
template <class T>
struct vector_of<T, 1> {
  using type = T;
};

/// N lanes of S in one register: the arithmetic every kernel and every user formula is written in.
///
/// Numerics  +, -, *, /, sqrt are IEEE per lane. A product is never contracted with a following sum by the compiler: a sum
///           of products that should be one chain is written fma, which fuses where the machine can and is mul + add
///           where it cannot. pack<S, 1> gives the bits of one lane of pack<S>.
/// Differs   from Eigen's packets: sqrt is exact (Eigen 3.4 approximates), comparisons give a mask for select.
template <number S, int N = lanes<S>>
struct pack {
  using scalar = S;
  using packet = typename packet_with<S, N>::type;
  using integer = std::conditional_t<sizeof(S) == 4, std::int32_t, std::int64_t>;
  static constexpr int size = N;

  /// Integers of the lanes' width, one for each lane; also what a comparison gives (all ones or zero).
  using bits = typename vector_of<integer, N>::type;

  packet value;

  pack() = default;
  FORMWORK_INLINE explicit pack(packet p)
    requires(N > 1)
      : value(p) {}
  template <class T>
    requires std::is_arithmetic_v<T>
  FORMWORK_INLINE pack(T s) : value(Eigen::internal::pset1<packet>(static_cast<S>(s))) {}

  /// N values from any address.
  FORMWORK_INLINE static pack load(const S* p) { return wrap(Eigen::internal::ploadu<packet>(p)); }
  FORMWORK_INLINE void store(S* p) const { Eigen::internal::pstoreu(p, value); }

  /// The first `count` lanes, the others zero: tails run the same code on a padded pack.
  FORMWORK_INLINE static pack load(const S* p, Index count) { return count >= N ? load(p) : load_part(p, count); }
  FORMWORK_INLINE void store(S* p, Index count) const { count >= N ? store(p) : store_part(p, count); }
  static pack load_part(const S* p, Index count) {
#if defined(EIGEN_VECTORIZE_AVX512)
    if constexpr (sizeof(packet) == 64 && sizeof(S) == 4) return wrap(_mm512_maskz_loadu_ps(first_lanes(count), p));
    if constexpr (sizeof(packet) == 64 && sizeof(S) == 8) return wrap(_mm512_maskz_loadu_pd(first_lanes(count), p));
#endif
#if defined(EIGEN_VECTORIZE_AVX)
    const bits in = ramp(0) < pack(count);
    if constexpr (sizeof(packet) == 32 && sizeof(S) == 4) return wrap(_mm256_maskload_ps(p, __m256i(in)));
    if constexpr (sizeof(packet) == 32 && sizeof(S) == 8) return wrap(_mm256_maskload_pd(p, __m256i(in)));
#endif
    alignas(64) S lane[N] = {};
    if (count > 0) std::memcpy(lane, p, static_cast<std::size_t>(count) * sizeof(S));
    return load(lane);
  }
  void store_part(S* p, Index count) const {
#if defined(EIGEN_VECTORIZE_AVX512)
    if constexpr (sizeof(packet) == 64 && sizeof(S) == 4) return _mm512_mask_storeu_ps(p, first_lanes(count), value);
    if constexpr (sizeof(packet) == 64 && sizeof(S) == 8) return _mm512_mask_storeu_pd(p, first_lanes(count), value);
#endif
#if defined(EIGEN_VECTORIZE_AVX)
    const bits in = ramp(0) < pack(count);
    if constexpr (sizeof(packet) == 32 && sizeof(S) == 4) return _mm256_maskstore_ps(p, __m256i(in), value);
    if constexpr (sizeof(packet) == 32 && sizeof(S) == 8) return _mm256_maskstore_pd(p, __m256i(in), value);
#endif
    alignas(64) S lane[N];
    store(lane);
    if (count > 0) std::memcpy(p, lane, static_cast<std::size_t>(count) * sizeof(S));
  }

  /// first, first + 1, ...
  FORMWORK_INLINE static pack ramp(S first) { return wrap(Eigen::internal::plset<packet>(first)); }

  FORMWORK_INLINE static pack wrap(packet p) {
    pack r;
    r.value = p;
    return r;
  }

  FORMWORK_INLINE friend pack operator+(pack a, pack b) { return wrap(a.value + b.value); }
  FORMWORK_INLINE friend pack operator-(pack a, pack b) { return wrap(a.value - b.value); }
  FORMWORK_INLINE friend pack operator*(pack a, pack b) { return in_register(wrap(a.value * b.value)); }
  FORMWORK_INLINE friend pack operator/(pack a, pack b) { return wrap(a.value / b.value); }
  FORMWORK_INLINE friend pack operator-(pack a) { return wrap(-a.value); }
  FORMWORK_INLINE pack& operator+=(pack b) { return *this = *this + b; }
  FORMWORK_INLINE pack& operator-=(pack b) { return *this = *this - b; }
  FORMWORK_INLINE pack& operator*=(pack b) { return *this = *this * b; }
  FORMWORK_INLINE pack& operator/=(pack b) { return *this = *this / b; }

  /// a b + c, one rounding where the machine fuses.
  FORMWORK_INLINE friend pack fma(pack a, pack b, pack c) {
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
    if constexpr (N == 1)
      return wrap(std::fma(a.value, b.value, c.value));
    else
      return wrap(Eigen::internal::pmadd(a.value, b.value, c.value));
#else
    return a * b + c;
#endif
  }

  /// Comparisons; every comparison with NaN is false.
  FORMWORK_INLINE friend bits operator<(pack a, pack b) { return mask(a.value < b.value); }
  FORMWORK_INLINE friend bits operator<=(pack a, pack b) { return mask(a.value <= b.value); }
  FORMWORK_INLINE friend bits operator>(pack a, pack b) { return mask(a.value > b.value); }
  FORMWORK_INLINE friend bits operator>=(pack a, pack b) { return mask(a.value >= b.value); }
  FORMWORK_INLINE friend bits operator==(pack a, pack b) { return mask(a.value == b.value); }
  FORMWORK_INLINE friend bits operator!=(pack a, pack b) { return mask(a.value != b.value); }

  /// a where the mask is set, else b.
  FORMWORK_INLINE friend pack select(bits where, pack a, pack b) {
    if constexpr (N == 1)
      return wrap(where ? a.value : b.value);
    else
      return wrap(packet(where ? vector(a.value) : vector(b.value)));
  }

  /// The larger (smaller) one; a where either is NaN.
  FORMWORK_INLINE friend pack max(pack a, pack b) {
#if defined(EIGEN_VECTORIZE_SSE)
    if constexpr (N > 1) return wrap(Eigen::internal::pmax(a.value, b.value));  // one instruction, of that very meaning
#endif
    return select(a < b, b, a);
  }
  FORMWORK_INLINE friend pack min(pack a, pack b) {
#if defined(EIGEN_VECTORIZE_SSE)
    if constexpr (N > 1) return wrap(Eigen::internal::pmin(a.value, b.value));
#endif
    return select(b < a, b, a);
  }
  FORMWORK_INLINE friend pack abs(pack a) {
    return from_bits(to_bits(a) & std::numeric_limits<integer>::max());
  }
  /// |a| with the sign of b.
  FORMWORK_INLINE friend pack copysign(pack a, pack b) {
    constexpr auto magnitude = std::numeric_limits<integer>::max();
    return from_bits((to_bits(a) & magnitude) | (to_bits(b) & ~magnitude));
  }
  FORMWORK_INLINE friend pack sqrt(pack a) {
#if defined(EIGEN_VECTORIZE_AVX512)
    if constexpr (sizeof(packet) == 64 && sizeof(S) == 4) return wrap(_mm512_maskz_sqrt_ps(__mmask16(-1), a.value));
    if constexpr (sizeof(packet) == 64 && sizeof(S) == 8) return wrap(_mm512_maskz_sqrt_pd(__mmask8(-1), a.value));
#endif
#if defined(EIGEN_VECTORIZE_AVX)
    if constexpr (sizeof(packet) == 32 && sizeof(S) == 4) return wrap(_mm256_sqrt_ps(a.value));
    if constexpr (sizeof(packet) == 32 && sizeof(S) == 8) return wrap(_mm256_sqrt_pd(a.value));
#endif
#if defined(EIGEN_VECTORIZE_SSE)
    if constexpr (sizeof(packet) == 16 && sizeof(S) == 4) return wrap(_mm_sqrt_ps(a.value));
    if constexpr (sizeof(packet) == 16 && sizeof(S) == 8) return wrap(_mm_sqrt_pd(a.value));
#endif
    if constexpr (N == 1) return wrap(std::sqrt(a.value));
    return wrap(Eigen::internal::psqrt(a.value));
  }

  FORMWORK_INLINE friend bits to_bits(pack a) { return std::bit_cast<bits>(a.value); }
  FORMWORK_INLINE static pack from_bits(bits b) { return wrap(std::bit_cast<packet>(b)); }

  /// Sum, largest, smallest of the lanes, folding the upper half onto the lower: one fixed order for one N.
  FORMWORK_INLINE friend S sum(pack a) {
    return fold<N / 2>(a, [](pack x, pack y) { return x + y; });
  }
  FORMWORK_INLINE friend S largest(pack a) {
    return fold<N / 2>(a, [](pack x, pack y) { return max(x, y); });
  }
  FORMWORK_INLINE friend S smallest(pack a) {
    return fold<N / 2>(a, [](pack x, pack y) { return min(x, y); });
  }

  /// a, made to pass through a register by an instruction of no bytes. A product that does is not contracted with a following
  /// sum: g++ would round a * b + c once at -O2 (measured), clang would not, and the body of a loop and its tail could
  /// differ. A load that does is done once: g++ would repeat it as the memory operand of every fma that uses it.
  FORMWORK_INLINE friend pack in_register(pack a) {
#if defined(EIGEN_VECTORIZE_AVX512)
    asm("" : "+v"(a.value));
#elif defined(__x86_64__) || defined(__i386__)
    asm("" : "+x"(a.value));
#elif defined(__aarch64__) || defined(__arm__)
    asm("" : "+w"(a.value));
#endif
    return a;
  }

  FORMWORK_INLINE S operator[](int lane) const {
    if constexpr (N == 1)
      return value;
    else
      return vector(value)[lane];
  }

 private:
  using vector = typename vector_of<S, N>::type;

  /// A mask of AVX-512: one bit a lane, the first `count` set.
  using lane_mask = std::conditional_t<N <= 8, std::uint8_t, std::uint16_t>;
  FORMWORK_INLINE static lane_mask first_lanes(Index count) {
    return static_cast<lane_mask>((1u << (count < 0 ? 0 : count)) - 1);
  }

  template <class C>
  FORMWORK_INLINE static bits mask(C comparison) {
    if constexpr (N == 1)
      return comparison ? bits(-1) : bits(0);
    else
      return std::bit_cast<bits>(comparison);
  }

  template <int H, class Combine>
  FORMWORK_INLINE static S fold(pack a, Combine combine) {
    if constexpr (H == 0) {
      return a[0];
    } else {
      const auto v = vector(a.value);
      const auto upper = [&]<int... l>(std::integer_sequence<int, l...>) {
        return wrap(packet(__builtin_shufflevector(v, v, ((l + H) % N)...)));
      }(std::make_integer_sequence<int, N>{});
      return fold<H / 2>(combine(a, upper), combine);
    }
  }
};

/// Rows and columns of an N × N block of registers change places: for H = N/2, ..., 2, 1 the off-diagonal H × H blocks
/// of every 2H × 2H block are exchanged (Eklundh, 1972).
template <int H, real S, int N>
FORMWORK_INLINE void transpose_blocks(pack<S, N> (&row)[N]) {
  using vector = typename vector_of<S, N>::type;
  [&]<int... l>(std::integer_sequence<int, l...>) {
#pragma GCC unroll 16
    for (int i = 0; i < N; ++i) {
      if (i & H) continue;
      const auto a = vector(row[i].value), b = vector(row[i + H].value);
      row[i] = pack<S, N>::wrap(__builtin_shufflevector(a, b, ((l & H) ? l - H + N : l)...));
      row[i + H] = pack<S, N>::wrap(__builtin_shufflevector(a, b, ((l & H) ? l + N : l + H)...));
    }
  }(std::make_integer_sequence<int, N>{});
  if constexpr (H > 1) transpose_blocks<H / 2>(row);
}
template <real S, int N>
FORMWORK_INLINE void transpose(pack<S, N> (&block)[N]) {
  if constexpr (N > 1) transpose_blocks<N / 2>(block);
}

/// Whether any, all lanes of a mask are set.
template <class Bits>
FORMWORK_INLINE bool any(Bits mask) {
  if constexpr (std::integral<Bits>) {
    return mask != 0;
  } else {
    constexpr int N = sizeof(Bits) / sizeof(mask[0]);
    using half = typename vector_of<std::remove_cvref_t<decltype(mask[0])>, N / 2>::type;
    if constexpr (N == 2)
      return (mask[0] | mask[1]) != 0;
    else
      return [&]<int... l>(std::integer_sequence<int, l...>) {
        return any(half(__builtin_shufflevector(mask, mask, l...) | __builtin_shufflevector(mask, mask, (l + N / 2)...)));
      }(std::make_integer_sequence<int, N / 2>{});
  }
}
template <class Bits>
FORMWORK_INLINE bool all(Bits mask) {
  return !any(Bits(~mask));
}

/// What has no slope is its own value.
template <real S, int N>
FORMWORK_INLINE pack<S, N> value_of(pack<S, N> x) {
  return x;
}

template <real S>
constexpr S value_of(S x) {
  return x;
}

/// Whether x is zero; its slope too, where it has one.
template <real S>
constexpr bool vanishes(S x) {
  return x == S(0);
}

/// What long sums of S are taken in: double, with a slope where S has one.
template <number S>
struct wide_in {
  using type = double;
};
template <number S>
using wide_of = typename wide_in<S>::type;
template <real S>
constexpr double widened(S x) {
  return static_cast<double>(x);
}
template <real S>
constexpr S rounded(double x) {
  return static_cast<S>(x);
}
/// The standard library's logarithm, of a long sum.
inline double logarithm(double x) { return std::log(x); }

/// The lanes of x in double: the lower half of them and the upper half; and back, rounded.
template <int N>
  requires(N > 1)
FORMWORK_INLINE void widen(pack<float, N> x, pack<double, N / 2>& low, pack<double, N / 2>& high) {
  using floats = typename vector_of<float, N>::type;
  using doubles = typename vector_of<double, N / 2>::type;
  const auto v = floats(x.value);
  if constexpr (N == 2) {
    low = pack<double, 1>(v[0]), high = pack<double, 1>(v[1]);
  } else {
    [&]<int... l>(std::integer_sequence<int, l...>) {
      using packet = typename pack<double, N / 2>::packet;
      low.value = packet(__builtin_convertvector(__builtin_shufflevector(v, v, l...), doubles));
      high.value = packet(__builtin_convertvector(__builtin_shufflevector(v, v, (l + N / 2)...), doubles));
    }(std::make_integer_sequence<int, N / 2>{});
  }
}
template <int N>
FORMWORK_INLINE pack<float, 2 * N> narrow(pack<double, N> low, pack<double, N> high) {
  pack<float, 2 * N> r;
  if constexpr (N == 1) {
    const float lane[2] = {static_cast<float>(low.value), static_cast<float>(high.value)};
    r = pack<float, 2 * N>::load(lane);
  } else {
    using doubles = typename vector_of<double, N>::type;
    using floats = typename vector_of<float, N>::type;
    const auto a = __builtin_convertvector(doubles(low.value), floats), b = __builtin_convertvector(doubles(high.value), floats);
    [&]<int... l>(std::integer_sequence<int, l...>) {
      r.value = typename pack<float, 2 * N>::packet(__builtin_shufflevector(a, b, l...));
    }(std::make_integer_sequence<int, 2 * N>{});
  }
  return r;
}

/// `count` rounded up to whole packs.
template <number S>
constexpr Index padded(Index count) {
  return (count + lanes<S> - 1) / lanes<S> * lanes<S>;
}

}  // namespace formwork

#pragma GCC diagnostic pop
