// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/io/dtype.hpp>
#include <formwork/io/file.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <map>
#include <numeric>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

namespace formwork::inline FORMWORK_ABI {

/// One tensor of a file: bytes begin .. end - 1 of the data part.
struct tensor_entry {
  std::string name = {};
  dtype type = dtype::f32;
  std::vector<Index> shape = {};
  std::uint64_t begin = 0, end = 0;

  /// As a matrix: a number is 1 × 1, a vector one row, higher ranks (all but the last × last).
  Index cols() const { return shape.empty() ? 1 : shape.back(); }
  Index rows() const {
    Index r = 1;
    for (std::size_t i = 0; i + 1 < shape.size(); ++i) r *= shape[i];
    return r;
  }
  Index count() const { return rows() * cols(); }
};

/// "(2 × 3 × 4)", "()" for a number.
inline std::string shape_text(const std::vector<Index>& shape) {
  std::string r = "(";
  for (std::size_t i = 0; i < shape.size(); ++i) r += (i == 0 ? "" : " × ") + std::to_string(shape[i]);
  return r + ")";
}

/// What the head of a safetensors file says: an 8-byte length, that many bytes of JSON, then the data.
///
/// Cost      at most 16 bytes of memory for each byte of JSON, whatever it claims (hostile_test.cpp).
/// Source    github.com/huggingface/safetensors, format.
/// Differs   stricter: ranks above 32, types formwork does not read and keys it does not know are refused.
struct safetensors_header {
  static constexpr std::uint64_t longest = 100'000'000;
  static constexpr std::size_t highest_rank = 32;

  std::vector<tensor_entry> entries = {};  ///< in the order of their bytes
  std::map<std::string, std::string> metadata = {};
  std::vector<std::size_t> by_name = {};  ///< places in entries, in the order of their names

  /// Checks everything there is to check against `data_bytes`, the length of the data part.
  ///
  /// Throws    file_error.
  static safetensors_header parse(const file_site& site, std::string_view json, std::uint64_t data_bytes);

  /// The tensor of that name, or null.
  const tensor_entry* find(std::string_view name) const {
    const auto at = std::lower_bound(by_name.begin(), by_name.end(), name,
                                     [this](std::size_t i, std::string_view n) { return entries[i].name < n; });
    return at != by_name.end() && entries[*at].name == name ? &entries[*at] : nullptr;
  }

  /// The JSON, padded with spaces so that the data part starts at a multiple of 8.
  std::string json() const;
};

/// Collects the header's entries while nlohmann/json walks it; refuses what does not belong as soon as it comes.
class safetensors_header_reader {
 public:
  safetensors_header_reader(const file_site& site, safetensors_header& into) : site_(site), into_(into) {}

  bool null() { return unexpected("null"); }
  bool boolean(bool) { return unexpected("a boolean"); }
  bool number_integer(std::int64_t) { return unexpected("a negative number"); }
  bool number_float(double, const std::string&) { return unexpected("a number that is not a whole one of 64 bits"); }
  bool binary(std::vector<std::uint8_t>&) { return unexpected("binary data"); }

  bool number_unsigned(std::uint64_t value) {
    if (inside_ != inside::shape && inside_ != inside::offsets) return unexpected("a number");
    if (numbers_.size() == safetensors_header::highest_rank)
      site_.fail(where(), " has more than ", safetensors_header::highest_rank, " numbers");
    numbers_.push_back(value);
    return true;
  }

  bool string(std::string& value) {
    if (inside_ == inside::metadata) {
      *metadata_value_ = std::move(value);
      return true;
    }
    if (inside_ != inside::tensor || key_ != "dtype") return unexpected("a string");
    const auto type = dtype_named(value);
    if (!type)
      site_.fail(where(), " is \"", one_line(value), "\"; needs BOOL, U8 .. U64, I8 .. I64, F16, BF16, F32 or F64");
    current_.type = *type;
    return true;
  }

  bool start_object(std::size_t) {
    if (inside_ == inside::nothing) {
      inside_ = inside::root;
    } else if (inside_ == inside::root) {
      inside_ = current_.name == "__metadata__" ? inside::metadata : inside::tensor;
      site_.needs(inside_ == inside::tensor || !std::exchange(metadata_seen_, true), "\"__metadata__\" is there twice");
      seen_ = {};
    } else {
      return unexpected("an object");
    }
    return true;
  }

  bool key(std::string& name) {
    if (inside_ == inside::root) {
      current_ = {.name = std::move(name)};
      key_.clear();
      return true;
    }
    key_ = std::move(name);
    bool fresh = true;
    if (inside_ == inside::metadata) {
      const auto [at, added] = into_.metadata.try_emplace(key_);
      metadata_value_ = &at->second;
      fresh = added;
    } else {
      const auto at = static_cast<std::size_t>(std::find(keys.begin(), keys.end(), key_) - keys.begin());
      if (at == keys.size()) site_.fail(where(), " is not known; needs dtype, shape and data_offsets");
      fresh = !std::exchange(seen_[at], true);
    }
    if (!fresh) site_.fail(where(), " is there twice");
    return true;
  }

  bool end_object() {
    if (inside_ == inside::tensor) {
      for (std::size_t i = 0; i < keys.size(); ++i)
        if (!seen_[i]) site_.fail(where_tensor(), " has no ", keys[i]);
      into_.entries.push_back(std::move(current_));
    }
    inside_ = inside::root;
    return true;
  }

  bool start_array(std::size_t) {
    if (inside_ != inside::tensor || key_ == "dtype") return unexpected("an array");
    inside_ = key_ == "shape" ? inside::shape : inside::offsets;
    numbers_.clear();
    return true;
  }

  bool end_array() {
    if (inside_ == inside::shape) {
      current_.shape.reserve(numbers_.size());
      for (const std::uint64_t n : numbers_) {
        if (n > static_cast<std::uint64_t>(std::numeric_limits<Index>::max()))
          site_.fail(where(), " holds ", n, ", more than any size");
        current_.shape.push_back(static_cast<Index>(n));
      }
    } else {
      if (numbers_.size() != 2) site_.fail(where(), " has ", numbers_.size(), " numbers; needs 2");
      current_.begin = numbers_[0];
      current_.end = numbers_[1];
    }
    inside_ = inside::tensor;
    return true;
  }

  bool parse_error(std::size_t position, const std::string& token, const nlohmann::json::exception&) {
    site_.fail("the header is not JSON: byte ", position, ", near \"", one_line(token, 40), "\"");
  }

 private:
  enum class inside { nothing, root, metadata, tensor, shape, offsets };
  static constexpr std::array<std::string_view, 3> keys{"dtype", "shape", "data_offsets"};

  std::string where_tensor() const {
    if (inside_ == inside::nothing) return "the header";
    return current_.name == "__metadata__" ? "__metadata__" : "tensor \"" + one_line(current_.name) + "\"";
  }
  std::string where() const {
    return key_.empty() || inside_ == inside::nothing || inside_ == inside::root
               ? where_tensor()
               : where_tensor() + ": " + one_line(key_);
  }
  bool unexpected(const char* what) const {
    const char* needed = "an object";
    if (inside_ == inside::metadata || (inside_ == inside::tensor && key_ == "dtype")) needed = "a string";
    if (inside_ == inside::shape || inside_ == inside::offsets) needed = "whole numbers >= 0";
    if (inside_ == inside::tensor && key_ != "dtype") needed = "an array of whole numbers";
    site_.fail(where(), inside_ == inside::shape || inside_ == inside::offsets ? " holds " : " is ", what, "; needs ",
               needed);
  }

  const file_site& site_;
  safetensors_header& into_;
  inside inside_ = inside::nothing;
  tensor_entry current_;
  std::array<bool, keys.size()> seen_ = {};
  std::string key_;
  std::string* metadata_value_ = nullptr;
  bool metadata_seen_ = false;
  std::vector<std::uint64_t> numbers_;
};

inline safetensors_header safetensors_header::parse(const file_site& site, std::string_view json,
                                                    std::uint64_t data_bytes) {
  // nlohmann/json skips a byte order mark and takes a zero byte for the end.
  site.needs(!json.empty() && json.front() == '{', "the header does not start with {; this is not a safetensors file");
  site.needs(json.find('\0') == std::string_view::npos, "the header is not JSON: it holds a zero byte");
  safetensors_header r;
  safetensors_header_reader reader(site, r);
  nlohmann::json::sax_parse(json.data(), json.data() + json.size(), &reader);

  const auto before = [](const tensor_entry& a, const tensor_entry& b) {
    return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
  };
  std::sort(r.entries.begin(), r.entries.end(), before);
  r.by_name.resize(r.entries.size());
  std::iota(r.by_name.begin(), r.by_name.end(), std::size_t(0));
  const auto name_of_place = [&r](std::size_t i) -> const std::string& { return r.entries[i].name; };
  std::ranges::sort(r.by_name, {}, name_of_place);
  const auto twice = std::ranges::adjacent_find(r.by_name, {}, name_of_place);
  if (twice != r.by_name.end()) site.fail("tensor \"", one_line(name_of_place(*twice)), "\" is there twice");

  for (const tensor_entry& one : r.entries) {
    std::uint64_t bytes = static_cast<std::uint64_t>(bytes_of(one.type));
    bool fits = true;
    for (const Index n : one.shape)
      fits = fits && !__builtin_mul_overflow(bytes, static_cast<std::uint64_t>(n), &bytes) &&
             bytes <= (std::uint64_t(1) << 62);
    if (!fits)
      site.fail("tensor \"", one_line(one.name), "\": shape ", shape_text(one.shape), " is more than any memory");
    if (one.begin > one.end || one.end - one.begin != bytes)
      site.fail("tensor \"", one_line(one.name), "\": data_offsets are [", one.begin, ", ", one.end, "] but ",
                name_of(one.type), " ", shape_text(one.shape), " needs ", bytes, " bytes");
  }
  std::uint64_t next = 0;
  for (const tensor_entry& one : r.entries) {
    if (one.begin != next)
      site.fail("tensor \"", one_line(one.name), "\": data starts at ", one.begin, " but the data before it ends at ",
                next, one.begin > next ? "; needs no holes" : "; needs no overlaps");
    next = one.end;
  }
  site.needs(next == data_bytes, "the tensors need ", next, " bytes of data but the file has ", data_bytes,
             next > data_bytes ? "; it was cut short" : "; needs an end where the last tensor ends");
  return r;
}

inline std::string json_string(std::string_view s) {
  std::string r = "\"";
  for (const char c : s) {
    char escaped[8];
    std::snprintf(escaped, sizeof escaped, "\\u%04x", static_cast<unsigned>(static_cast<unsigned char>(c)));
    if (c == '"' || c == '\\')
      r += std::string("\\") + c;
    else
      r += static_cast<unsigned char>(c) < 0x20 ? escaped : std::string(1, c);
  }
  return r + "\"";
}

inline std::string safetensors_header::json() const {
  std::string r = "{";
  const auto separate = [&r] { r += r.back() == '{' ? "" : ","; };
  if (!metadata.empty()) {
    r += "\"__metadata__\":{";
    for (const auto& [key, value] : metadata) separate(), r += json_string(key) + ":" + json_string(value);
    r += "}";
  }
  for (const tensor_entry& one : entries) {
    separate();
    r += json_string(one.name) + ":{\"dtype\":\"" + std::string(name_of(one.type)) + "\",\"shape\":[";
    for (std::size_t i = 0; i < one.shape.size(); ++i) r += (i == 0 ? "" : ",") + std::to_string(one.shape[i]);
    r += text("],\"data_offsets\":[", one.begin, ",", one.end, "]}");
  }
  r += "}";
  return r + std::string((8 - r.size() % 8) % 8, ' ');
}

}  // namespace formwork
