// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/matrix.hpp>
#include <formwork/io/safetensors_header.hpp>

#include <concepts>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace formwork::inline FORMWORK_ABI {

/// A safetensors file open for reading. Everything is checked when it is opened: the header lies inside the file and is at
/// most 100 MB, no name or key is there twice, types are known, products of sizes do not overflow, and the tensors fill the
/// data part without holes or overlaps. Only then numbers are read, one tensor at a time.
///
/// Cost      memory for the header; tensors on request.
/// Throws    file_error, one line with the path, what it got and what it needs.
class safetensors_file {
 public:
  static safetensors_file read(const std::string& path, const char* operation = "safetensors") {
    return safetensors_file(input_file(operation, path));
  }
  /// The same of a file's bytes in memory, which must live as long as the result; `name` stands for the path in errors.
  static safetensors_file of(std::span<const std::byte> bytes, const std::string& name = "memory",
                             const char* operation = "safetensors") {
    return safetensors_file(input_file(operation, name, bytes));
  }

  /// In the order of their bytes.
  const std::vector<tensor_entry>& entries() const { return header_.entries; }
  const std::map<std::string, std::string>& metadata() const { return header_.metadata; }
  const file_site& site() const { return file_.site(); }

  bool contains(std::string_view name) const { return header_.find(name) != nullptr; }
  const tensor_entry& entry(std::string_view name) const {
    const tensor_entry* found = header_.find(name);
    if (!found) site().fail("has no tensor \"", one_line(name), "\"", names_text());
    return *found;
  }

  /// The tensor as a matrix: a number is 1 × 1, a vector one row, higher ranks (all but the last × last).
  ///
  /// Numerics  exact where S holds the stored number, otherwise rounded to the nearest.
  template <real S>
  matrix<S> read(std::string_view name) const {
    const tensor_entry& one = entry(name);
    require_room(one, sizeof(S));
    matrix<S> r(one.rows(), one.cols());
    fill(one, r.data());
    return r;
  }

  /// The tensor, which must have the view's shape, written to it.
  template <real S>
  void read_into(std::string_view name, view<S> to) const {
    const tensor_entry& one = entry(name);
    site().needs(one.rows() == to.rows() && one.cols() == to.cols(), "tensor \"", one_line(name), "\" is ",
                 shape_text(one.shape), "; needs ", formwork::shape_text(to));
    if (to.stride() == to.cols()) return fill(one, to.data());
    const matrix<S> whole = read<S>(name);
    for (Index i = 0; i < to.rows(); ++i) std::copy_n(whole.row(i), to.cols(), to.row(i));
  }

  /// A tensor of whole numbers, flat and exact.
  template <std::integral Integer>
  std::vector<Integer> read_integers(std::string_view name) const {
    const tensor_entry& one = entry(name);
    site().needs(is_whole(one.type), "tensor \"", one_line(name), "\" is ", name_of(one.type), "; needs whole numbers");
    require_room(one, sizeof(Integer));
    std::vector<Integer> r;
    r.reserve(static_cast<std::size_t>(one.count()));
    for_each_chunk(one, [&](const std::byte* from, Index, Index count) {
      for_each_number(one.type, from, count, [&](auto value) {
        if constexpr (std::integral<decltype(value)>) {
          site().needs(std::in_range<Integer>(value), "tensor \"", one_line(name), "\" holds ", +value,
                       "; needs whole numbers of ", 8 * sizeof(Integer), " bits");
          r.push_back(static_cast<Integer>(value));
        }
      });
    });
    return r;
  }

 private:
  explicit safetensors_file(input_file file) : file_(std::move(file)) {
    const std::uint64_t size = file_.size();
    site().needs(size >= 10, "has ", size, " bytes; needs a safetensors file, of at least 10");
    std::uint64_t length = 0;
    file_.read(0, &length, 8);
    site().needs(length <= safetensors_header::longest, "the header's length is ", length, "; needs at most ",
                 safetensors_header::longest, ": this is not a safetensors file");
    site().needs(length <= size - 8, "the header's length is ", length, " but only ", size - 8,
                 " bytes follow; it was cut short or is not a safetensors file");
    std::string json(static_cast<std::size_t>(length), '\0');
    file_.read(8, json.data(), json.size());
    data_start_ = 8 + length;
    header_ = safetensors_header::parse(site(), json, size - data_start_);
  }

  void require_room(const tensor_entry& one, std::size_t bytes_each) const {
    site().needs(one.count() <= (Index(1) << 45) / static_cast<Index>(bytes_each), "tensor \"", one_line(one.name),
                 "\" is ", shape_text(one.shape), ", more than any memory");
  }

  /// f(bytes, index of the first element, count) over the tensor's packed bytes.
  template <class F>
  void for_each_chunk(const tensor_entry& one, F&& f) const {
    constexpr Index most = 1 << 16;
    const Index bytes = bytes_of(one.type), total = one.count();
    const scratch<std::byte> chunk(std::min(most, total) * bytes);
    for (Index first = 0; first < total; first += most) {
      const Index count = std::min(most, total - first);
      file_.read(data_start_ + one.begin + static_cast<std::uint64_t>(first * bytes), chunk.data(),
                 static_cast<std::size_t>(count * bytes));
      f(static_cast<const std::byte*>(chunk.data()), first, count);
    }
  }

  template <real S>
  void fill(const tensor_entry& one, S* to) const {
    if (one.type == dtype_of<S>)
      return file_.read(data_start_ + one.begin, to, static_cast<std::size_t>(one.end - one.begin));
    for_each_chunk(one, [&](const std::byte* from, Index first, Index count) {
      S* at = to + first;
      for_each_number(one.type, from, count, [&](auto value) { *at++ = static_cast<S>(value); });
    });
  }

  /// "; it has a, b, c ... (12 in all)".
  std::string names_text() const {
    std::string r = entries().empty() ? "; it has none" : "; it has ";
    std::size_t shown = 0;
    for (const tensor_entry& one : entries()) {
      if (shown == 4) break;
      r += (shown++ == 0 ? "" : ", ") + one_line(one.name, 40);
    }
    return entries().size() > shown ? text(r, " ... (", entries().size(), " in all)") : r;
  }

  input_file file_;
  std::uint64_t data_start_ = 0;
  safetensors_header header_;
};

/// Collects tensors and saves them as one safetensors file. Views and lvalue matrices are not copied: they must live, and
/// keep their numbers, until save(); temporaries are kept here.
///
/// Throws    file_error where the file cannot be written or would not pass safetensors_file: two tensors of one name, a name
///           that is not UTF-8. Nothing is left behind then, and an old file of that name is as it was.
class safetensors_writer {
 public:
  /// As (rows × cols), or with a shape of the same number of elements.
  template <class T>
  void add(std::string name, view<T> numbers, std::vector<Index> shape = unset()) {
    push<std::remove_const_t<T>>(std::move(name), numbers, std::move(shape), nullptr);
  }
  template <class T>
  void add(std::string name, const matrix<T>& numbers, std::vector<Index> shape = unset()) {
    push<T>(std::move(name), numbers, std::move(shape), nullptr);
  }
  template <class T>
  void add(std::string name, matrix<T>&& numbers, std::vector<Index> shape = unset()) {
    auto kept = std::make_shared<const matrix<T>>(std::move(numbers));
    const view<const T> all = *kept;
    push<T>(std::move(name), all, std::move(shape), std::move(kept));
  }
  /// Copies.
  template <class T>
  void add(std::string name, const std::vector<T>& numbers, std::vector<Index> shape = unset()) {
    const auto count = static_cast<Index>(numbers.size());
    if (shape == unset()) shape = {count};
    auto kept = std::make_shared<const std::vector<T>>(numbers);
    const view<const T> all(kept->data(), 1, count);
    push<T>(std::move(name), all, std::move(shape), std::move(kept));
  }

  void metadata(std::string key, std::string value) { metadata_[std::move(key)] = std::move(value); }

  /// Atomically: see output_file. Wide types come first, so every tensor is aligned to its numbers.
  void save(const std::string& path, const char* operation = "safetensors") {
    std::vector<piece> widest_first;
    for (const Index bytes : {8, 4, 2, 1})
      for (piece& one : pieces_)
        if (bytes_of(one.entry.type) == bytes) widest_first.push_back(std::move(one));
    pieces_ = std::move(widest_first);
    safetensors_header header{.metadata = metadata_};
    std::uint64_t next = 0;
    for (piece& one : pieces_) {
      one.entry.begin = next;
      next += static_cast<std::uint64_t>(one.rows * one.row_bytes);
      one.entry.end = next;
      header.entries.push_back(one.entry);
    }
    const std::string json = header.json();
    output_file out(operation, path);
    out.site().needs(json.size() <= safetensors_header::longest, "its header would have ", json.size(),
                     " bytes; needs at most ", safetensors_header::longest);
    safetensors_header::parse(out.site(), json, next);  // never writes what the reader would refuse

    const auto length = static_cast<std::uint64_t>(json.size());
    out.write(&length, 8);
    out.write(json);
    for (const piece& one : pieces_)
      for (Index i = 0; i < one.rows; ++i)
        out.write(one.data + i * one.stride_bytes, static_cast<std::size_t>(one.row_bytes));
    out.commit();
  }

 private:
  struct piece {
    tensor_entry entry;
    const std::byte* data;
    Index rows, row_bytes, stride_bytes;
    std::shared_ptr<const void> kept;
  };
  static std::vector<Index> unset() { return {-1}; }

  template <class T>
  void push(std::string name, view<const T> m, std::vector<Index> shape, std::shared_ptr<const void> kept) {
    if (shape == unset()) shape = {m.rows(), m.cols()};
    tensor_entry entry{.name = std::move(name), .type = dtype_of<T>, .shape = std::move(shape)};
    require(entry.count() == m.size(), "safetensors: tensor \"", one_line(entry.name), "\" is ",
            formwork::shape_text(m), " but is to be saved as ", shape_text(entry.shape),
            "; needs equally many numbers");
    constexpr auto each = static_cast<Index>(sizeof(T));
    const bool dense = m.stride() == m.cols();
    pieces_.push_back({std::move(entry), reinterpret_cast<const std::byte*>(m.data()), dense ? 1 : m.rows(),
                       (dense ? m.size() : m.cols()) * each, m.stride() * each, std::move(kept)});
  }

  std::vector<piece> pieces_;
  std::map<std::string, std::string> metadata_;
};

}  // namespace formwork
