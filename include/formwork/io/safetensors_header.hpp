// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/io/dtype.hpp>
#include <formwork/io/file.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <string_view>
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
/// Source    github.com/huggingface/safetensors, format.
/// Differs   stricter: ranks above 32, types formwork does not read and keys it does not know are refused.
struct safetensors_header {
  static constexpr std::uint64_t longest = 100'000'000;
  static constexpr std::size_t highest_rank = 32;

  std::vector<tensor_entry> entries = {};  ///< in the order of their bytes
  std::map<std::string, std::string> metadata = {};

  /// Checks everything there is to check against `data_bytes`, the length of the data part.
  ///
  /// Throws    file_error.
  static safetensors_header parse(const file_site& site, std::string_view json, std::uint64_t data_bytes);

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
    site_.needs(numbers_.size() < safetensors_header::highest_rank, where(), " has more than ",
                safetensors_header::highest_rank, " numbers");
    numbers_.push_back(value);
    return true;
  }

  bool string(std::string& value) {
    if (inside_ == inside::metadata) {
      into_.metadata[key_] = std::move(value);
      return true;
    }
    if (inside_ != inside::tensor || key_ != "dtype") return unexpected("a string");
    const auto type = dtype_named(value);
    site_.needs(type.has_value(), where(), " is \"", one_line(value),
                "\"; needs BOOL, U8 .. U64, I8 .. I64, F16, BF16, F32 or F64");
    current_.type = *type;
    return true;
  }

  bool start_object(std::size_t) {
    if (inside_ == inside::nothing) {
      inside_ = inside::root;
    } else if (inside_ == inside::root) {
      inside_ = current_.name == "__metadata__" ? inside::metadata : inside::tensor;
      keys_.clear();
    } else {
      return unexpected("an object");
    }
    return true;
  }

  bool key(std::string& name) {
    if (inside_ == inside::root) {
      site_.needs(names_.insert(name).second, "tensor \"", one_line(name), "\" is there twice");
      current_ = {.name = std::move(name)};
      key_.clear();
      return true;
    }
    key_ = std::move(name);
    site_.needs(keys_.insert(key_).second, where(), " is there twice");
    if (inside_ == inside::tensor)
      site_.needs(key_ == "dtype" || key_ == "shape" || key_ == "data_offsets", where(),
                  " is not known; needs dtype, shape and data_offsets");
    return true;
  }

  bool end_object() {
    if (inside_ == inside::tensor) {
      for (const char* needed : {"dtype", "shape", "data_offsets"})
        site_.needs(keys_.count(needed) > 0, where_tensor(), " has no ", needed);
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
      for (const std::uint64_t n : numbers_) {
        site_.needs(n <= static_cast<std::uint64_t>(std::numeric_limits<Index>::max()), where(), " holds ", n,
                    ", more than any size");
        current_.shape.push_back(static_cast<Index>(n));
      }
    } else {
      site_.needs(numbers_.size() == 2, where(), " has ", numbers_.size(), " numbers; needs 2");
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
  std::string key_;
  std::set<std::string> names_, keys_;
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

  for (const tensor_entry& one : r.entries) {
    std::uint64_t bytes = static_cast<std::uint64_t>(bytes_of(one.type));
    bool fits = true;
    for (const Index n : one.shape)
      fits = fits && !__builtin_mul_overflow(bytes, static_cast<std::uint64_t>(n), &bytes) &&
             bytes <= (std::uint64_t(1) << 62);
    site.needs(fits, "tensor \"", one_line(one.name), "\": shape ", shape_text(one.shape), " is more than any memory");
    site.needs(one.begin <= one.end && one.end - one.begin == bytes, "tensor \"", one_line(one.name),
               "\": data_offsets are [", one.begin, ", ", one.end, "] but ", name_of(one.type), " ",
               shape_text(one.shape), " needs ", bytes, " bytes");
  }
  const auto before = [](const tensor_entry& a, const tensor_entry& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  };
  std::stable_sort(r.entries.begin(), r.entries.end(), before);
  std::uint64_t next = 0;
  for (const tensor_entry& one : r.entries) {
    site.needs(one.begin == next, "tensor \"", one_line(one.name), "\": data starts at ", one.begin,
               " but the data before it ", "ends at ", next,
               one.begin > next ? "; needs no holes" : "; needs no overlaps");
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
