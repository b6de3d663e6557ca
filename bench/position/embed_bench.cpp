// SPDX-License-Identifier: MIT
#include <formwork/layer/builder.hpp>
#include <formwork/position.hpp>

#include "support/bench.hpp"

#include <string>
#include <vector>

// Absolute positions added to embeddings. Bytes counted are those of x read and y written.

namespace fw = formwork;
using fw::Index;

namespace {

constexpr Index width = 768;

fw::learned<float> learned() {
  fw::rng random{1};
  return fw::learned<float>::make(fw::builder{.sizes = {.width = width}, .random = random}, {.longest = 1024});
}

template <class Position>
void forward(const std::string& name, const Position& position, Index count, Index length) {
  bench::row("embed/" + name + "/" + std::to_string(count) + "x" + std::to_string(length),
             {.bytes = 8.0 * static_cast<double>(count * length * width), .tokens = static_cast<double>(count * length)}, [=] {
               struct run {
                 Position position;
                 fw::tape<float> quiet{fw::recording::off};
                 fw::var<float> x;
                 run(const Position& p, const fw::sequences& rows)
                     : position(p), x(quiet.constant(fw::matrix<float>(rows.rows(), width, 1.f), rows)) {}
               };
               auto r = std::make_shared<run>(position, fw::sequences::equal(count, length));
               return [r] { bench::keep(r->position.embed(r->x)); };
             });
}

void eigen_learned(Index count, Index length) {
  bench::row("eigen/embed/learned/" + std::to_string(count) + "x" + std::to_string(length),
             {.bytes = 8.0 * static_cast<double>(count * length * width), .tokens = static_cast<double>(count * length)}, [=] {
               using dense = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
               auto x = std::make_shared<dense>(dense::Random(count * length, width));
               auto table = std::make_shared<dense>(dense::Random(1024, width));
               return [=, y = std::make_shared<dense>(count * length, width)] {
                 for (Index s = 0; s < count; ++s)
                   y->middleRows(s * length, length) = x->middleRows(s * length, length) + table->topRows(length);
                 bench::keep(*y);
               };
             });
}

}  // namespace

void bench::rows() {
  for (const auto& [count, length] : {std::pair<Index, Index>{1, 1}, {4, 64}, {8, 1024}}) {
    forward("sinusoidal", fw::sinusoidal{}, count, length);
    forward("learned", learned(), count, length);
    eigen_learned(count, length);
  }
}
