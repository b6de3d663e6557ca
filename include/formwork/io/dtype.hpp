// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/pack.hpp>

#include <array>
#include <bit>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>
#include <type_traits>

namespace formwork::inline FORMWORK_ABI {

static_assert(std::endian::native == std::endian::little,
              "formwork: safetensors files are little-endian, this machine is not");

/// The number types of files. A tensor of any of them is read as float or double; only f32, f64, i64, u64 and u8 are written.
enum class dtype { boolean, u8, i8, u16, i16, f16, bf16, u32, i32, f32, u64, i64, f64 };

struct dtype_row {
  dtype type;
  std::string_view name;
  Index bytes;
};
inline constexpr std::array<dtype_row, 13> dtype_table{{{dtype::boolean, "BOOL", 1},
                                                        {dtype::u8, "U8", 1},
                                                        {dtype::i8, "I8", 1},
                                                        {dtype::u16, "U16", 2},
                                                        {dtype::i16, "I16", 2},
                                                        {dtype::f16, "F16", 2},
                                                        {dtype::bf16, "BF16", 2},
                                                        {dtype::u32, "U32", 4},
                                                        {dtype::i32, "I32", 4},
                                                        {dtype::f32, "F32", 4},
                                                        {dtype::u64, "U64", 8},
                                                        {dtype::i64, "I64", 8},
                                                        {dtype::f64, "F64", 8}}};

constexpr std::string_view name_of(dtype type) { return dtype_table[static_cast<std::size_t>(type)].name; }
constexpr Index bytes_of(dtype type) { return dtype_table[static_cast<std::size_t>(type)].bytes; }
constexpr bool is_whole(dtype type) {
  return type != dtype::f16 && type != dtype::bf16 && type != dtype::f32 && type != dtype::f64;
}
constexpr std::optional<dtype> dtype_named(std::string_view name) {
  for (const auto& row : dtype_table)
    if (row.name == name) return row.type;
  return std::nullopt;
}

template <class T>
inline constexpr dtype dtype_of = [] {
  static_assert(std::same_as<T, float> || std::same_as<T, double> || std::same_as<T, std::int64_t> ||
                    std::same_as<T, std::uint64_t> || std::same_as<T, std::uint8_t>,
                "formwork: files are written with float, double, std::int64_t, std::uint64_t or std::uint8_t");
  if constexpr (std::same_as<T, float>)
    return dtype::f32;
  else if constexpr (std::same_as<T, double>)
    return dtype::f64;
  else if constexpr (std::same_as<T, std::int64_t>)
    return dtype::i64;
  else if constexpr (std::same_as<T, std::uint64_t>)
    return dtype::u64;
  else
    return dtype::u8;
}();

/// The upper half of a float's bits.
inline float from_bf16(std::uint16_t bits) { return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16); }

/// IEEE half precision: 1 sign, 5 exponent (bias 15), 10 fraction bits. Exact; NaNs keep their payload.
inline float from_f16(std::uint16_t bits) {
  const std::uint32_t sign = (bits & 0x8000u) << 16, exponent = (bits >> 10) & 31u, fraction = bits & 0x3FFu;
  if (exponent == 0) {
    const float small = static_cast<float>(fraction) * 0x1p-24f;
    return sign ? -small : small;
  }
  const std::uint32_t wide = exponent == 31 ? 255 : exponent + 112;
  return std::bit_cast<float>(sign | wide << 23 | fraction << 13);
}

/// Calls f(element i as the number it stands for), i = 0 .. count - 1, for packed elements of any type at any address.
template <class F>
void for_each_number(dtype type, const std::byte* from, Index count, F&& f) {
  const auto walk = [&]<class Stored>(Stored, auto value) {
    for (Index i = 0; i < count; ++i) {
      Stored one;
      std::memcpy(&one, from + i * static_cast<Index>(sizeof(Stored)), sizeof(Stored));
      f(value(one));
    }
  };
  const auto same = [](auto v) { return v; };
  switch (type) {
    case dtype::boolean:
      return walk(std::uint8_t(), [](std::uint8_t v) { return std::uint8_t(v != 0); });
    case dtype::u8:
      return walk(std::uint8_t(), same);
    case dtype::i8:
      return walk(std::int8_t(), same);
    case dtype::u16:
      return walk(std::uint16_t(), same);
    case dtype::i16:
      return walk(std::int16_t(), same);
    case dtype::f16:
      return walk(std::uint16_t(), from_f16);
    case dtype::bf16:
      return walk(std::uint16_t(), from_bf16);
    case dtype::u32:
      return walk(std::uint32_t(), same);
    case dtype::i32:
      return walk(std::int32_t(), same);
    case dtype::f32:
      return walk(float(), same);
    case dtype::u64:
      return walk(std::uint64_t(), same);
    case dtype::i64:
      return walk(std::int64_t(), same);
    case dtype::f64:
      return walk(double(), same);
  }
}

}  // namespace formwork
