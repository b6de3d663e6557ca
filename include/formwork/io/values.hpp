// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/random.hpp>
#include <formwork/io/safetensors.hpp>
#include <formwork/tape/fields.hpp>

#include <concepts>
#include <functional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace formwork::inline FORMWORK_ABI {

// The values that a run is made of beside its weights: step, settings, random numbers, losses so far. A struct of them lists its
// members once, like a module:
//
//   struct run { Index step = 0; rng data; std::vector<double> losses; std::string text;
//                template <class R> static auto fields(R& r) { return fw::fields("step", r.step, "data", r.data, ...); } };
//
// Leaves are numbers, enums, texts, rng, and vectors of leaves; anything else lists fields.

template <class T>
concept number_value = std::integral<T> || std::floating_point<T> || std::is_enum_v<T>;

/// Number values are kept as the widest of their kind, so that they come back with the same bits.
template <number_value T>
using kept_value = std::conditional_t<std::floating_point<T>, double,
                                      std::conditional_t<std::unsigned_integral<T>, std::uint64_t, std::int64_t>>;

/// Adds a value, and everything in it, to a file under a name.
template <class T>
void add_value(safetensors_writer& out, const std::string& name, const T& value) {
  if constexpr (number_value<T>) {
    out.add(name, std::vector<kept_value<T>>{static_cast<kept_value<T>>(value)}, {});
  } else if constexpr (std::same_as<T, std::string>) {
    out.add(name, std::vector<std::uint8_t>(value.begin(), value.end()));
  } else if constexpr (std::same_as<T, rng>) {
    out.add(name, std::vector<std::uint64_t>{value.save().key, value.save().next});
  } else if constexpr (has_fields<const T>) {
    std::apply([&](auto... member) { (add_value(out, name + "." + std::string(member.name), member.value), ...); },
               T::fields(value));
  } else {
    using element = typename T::value_type;
    if constexpr (number_value<element>) {
      std::vector<kept_value<element>> all;
      for (const auto& one : value) all.push_back(static_cast<kept_value<element>>(one));
      out.add(name, all);
    } else {
      add_value(out, name + ".count", static_cast<std::int64_t>(value.size()));
      for (std::size_t i = 0; i < value.size(); ++i) add_value(out, name + "." + std::to_string(i), value[i]);
    }
  }
}

/// The numbers of a tensor as values of type T, exact.
template <number_value T>
std::vector<T> read_numbers(const safetensors_file& file, const std::string& name) {
  std::vector<T> r;
  if constexpr (std::floating_point<T>) {
    const matrix<double> all = file.read<double>(name);
    for (Index i = 0; i < all.size(); ++i) r.push_back(static_cast<T>(all.data()[i]));
  } else if constexpr (std::is_enum_v<T>) {
    for (const auto one : file.read_integers<std::underlying_type_t<T>>(name)) r.push_back(static_cast<T>(one));
  } else if constexpr (std::same_as<T, bool>) {
    for (const auto one : file.read_integers<std::uint8_t>(name)) r.push_back(one != 0);
  } else {
    r = file.read_integers<T>(name);
  }
  return r;
}

/// Reads what add_value wrote. Nothing changes yet: assignments are appended to `then`, to be run once everything was read.
///
/// Throws    file_error for a value that is missing, of another count, or does not fit its type.
template <class T>
void read_value(const safetensors_file& file, const std::string& name, T& value,
                std::vector<std::function<void()>>& then) {
  const auto exactly = [&](std::size_t count, std::size_t needed) {
    file.site().needs(count == needed, "tensor \"", one_line(name), "\" has ", count, " numbers; needs ", needed);
  };
  if constexpr (number_value<T>) {
    const auto all = read_numbers<T>(file, name);
    exactly(all.size(), 1);
    then.push_back([&value, one = static_cast<T>(all[0])] { value = one; });
  } else if constexpr (std::same_as<T, std::string>) {
    const auto bytes = file.read_integers<std::uint8_t>(name);
    then.push_back([&value, read = std::string(bytes.begin(), bytes.end())] { value = read; });
  } else if constexpr (std::same_as<T, rng>) {
    const auto words = file.read_integers<std::uint64_t>(name);
    exactly(words.size(), 2);
    then.push_back([&value, at = rng::state{words[0], words[1]}] { value.restore(at); });
  } else if constexpr (has_fields<T>) {
    std::apply(
        [&](auto... member) { (read_value(file, name + "." + std::string(member.name), member.value, then), ...); },
        T::fields(value));
  } else {
    using element = typename T::value_type;
    if constexpr (number_value<element>) {
      then.push_back([&value, read = read_numbers<element>(file, name)] { value.assign(read.begin(), read.end()); });
    } else {
      std::int64_t count = 0;
      std::vector<std::function<void()>> now;
      read_value(file, name + ".count", count, now);
      now[0]();
      const auto most = static_cast<std::int64_t>(file.entries().size());
      file.site().needs(0 <= count && count <= most, "tensor \"", one_line(name), ".count\" is ", count,
                        "; needs 0 .. ", most);
      auto read = std::make_shared<T>(static_cast<std::size_t>(count));
      for (std::size_t i = 0; i < read->size(); ++i) read_value(file, name + "." + std::to_string(i), (*read)[i], then);
      then.push_back([&value, read] { value = std::move(*read); });
    }
  }
}

}  // namespace formwork
