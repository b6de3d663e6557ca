// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/sequences.hpp>
#include <formwork/io/safetensors.hpp>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

// PyTorch's float64 numbers, made by make.py beside this file, which also explains the names of the tensors.
namespace golden {

/// Where the files lie: beside this one.
inline std::string path(std::string_view name) {
  return (std::filesystem::path(__FILE__).parent_path() / name).string() + ".safetensors";
}

class file {
 public:
  explicit file(std::string_view name) : tensors_(formwork::safetensors_file::read(path(name), "golden")) {}

  formwork::matrix<double> operator[](std::string_view name) const { return tensors_.read<double>(name); }
  std::vector<formwork::Index> integers(std::string_view name) const {
    return tensors_.read_integers<formwork::Index>(name);
  }
  formwork::sequences lengths(std::string_view name) const { return formwork::sequences(integers(name)); }
  /// How many names begin like that.
  formwork::Index count(std::string_view prefix) const {
    return std::ranges::count_if(tensors_.entries(), [=](const auto& one) { return one.name.starts_with(prefix); });
  }

 private:
  formwork::safetensors_file tensors_;
};

/// The largest difference, relative to the largest expected number; infinite where a number is NaN or the shapes differ.
inline double error(formwork::view<const double> got, formwork::view<const double> expected) {
  if (got.rows() != expected.rows() || got.cols() != expected.cols()) return std::numeric_limits<double>::infinity();
  double largest = 0, scale = 0;
  for (formwork::Index i = 0; i < got.rows(); ++i)
    for (formwork::Index j = 0; j < got.cols(); ++j) {
      const double difference = std::abs(got(i, j) - expected(i, j));
      if (!(difference < std::numeric_limits<double>::infinity())) return std::numeric_limits<double>::infinity();
      largest = std::max(largest, difference);
      scale = std::max(scale, std::abs(expected(i, j)));
    }
  return scale > 0 ? largest / scale : largest;
}

}  // namespace golden
