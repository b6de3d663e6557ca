// SPDX-License-Identifier: MIT
#include <formwork/kernel/rotate.hpp>

#include "support/bench.hpp"

#include <vector>

// Bytes counted are those of x, once: it is turned in place.

namespace fw = formwork;
using fw::Index;

namespace {

constexpr Index head_width = 64;

struct inputs {
  fw::matrix<float> x;
  fw::sequences batch;
  fw::rotary_table<float> table;

  inputs(Index count, Index length, Index heads) : x(count * length, heads * head_width), batch(fw::sequences::equal(count, length)) {
    std::vector<double> frequencies;
    for (Index i = 0; i < head_width / 2; ++i) frequencies.push_back(std::pow(10000.0, -2.0 * static_cast<double>(i) / head_width));
    table = fw::rotary_table<float>(frequencies, length);
    fw::eigen(x).setRandom();
  }
  Index heads() const { return x.cols() / head_width; }
};

void eigen_half(inputs& in) {
  constexpr Index pairs = head_width / 2;
  using row = Eigen::Map<Eigen::Array<float, 1, pairs>>;
  using constant = Eigen::Map<const Eigen::Array<float, 1, pairs>>;
  for (Index i = 0; i < in.x.rows(); ++i) {
    const Index p = i % in.batch.length(0);
    const constant cos(in.table.cos(p)), sin(in.table.sin(p));
    for (Index h = 0; h < in.heads(); ++h) {
      row a(in.x.row(i) + h * head_width), b(in.x.row(i) + h * head_width + pairs);
      const Eigen::Array<float, 1, pairs> turned = a * cos - b * sin;
      b = a * sin + b * cos;
      a = turned;
    }
  }
}
void naive_interleaved(inputs& in) {
  for (Index i = 0; i < in.x.rows(); ++i)
    for (Index h = 0; h < in.heads(); ++h)
      for (Index j = 0; j < head_width / 2; ++j) {
        const Index p = i % in.batch.length(0);
        float &a = in.x(i, h * head_width + 2 * j), &b = in.x(i, h * head_width + 2 * j + 1);
        const float c = in.table.cos(p)[j], s = in.table.sin(p)[j], turned = a * c - b * s;
        b = a * s + b * c;
        a = turned;
      }
}

void measure(const std::string& name, Index count, Index length, Index heads, void (*f)(inputs&)) {
  bench::row(name + "/" + std::to_string(count * length) + "x" + std::to_string(heads * head_width),
             {.bytes = 4.0 * static_cast<double>(count * length * heads * head_width)}, [=] {
               return [in = std::make_shared<inputs>(count, length, heads), f] { f(*in); };
             });
}

template <fw::pairing Pairing, fw::direction Way>
void turn(inputs& in) {
  fw::rotate<float>(in.x, in.table, in.heads(), head_width, head_width, Pairing, in.batch, Way);
}

}  // namespace

void bench::rows() {
  using enum fw::pairing;
  for (const auto& [count, length, heads] : {std::array<Index, 3>{4, 64, 12}, {16, 1024, 16}}) {
    measure("rotate/half/forward", count, length, heads, turn<half, fw::direction::forward>);
    measure("rotate/half/backward", count, length, heads, turn<half, fw::direction::backward>);
    measure("rotate/interleaved/forward", count, length, heads, turn<interleaved, fw::direction::forward>);
    measure("eigen/rotate/half/forward", count, length, heads, eigen_half);
    measure("naive/rotate/interleaved/forward", count, length, heads, naive_interleaved);
  }
}
