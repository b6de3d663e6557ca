// SPDX-License-Identifier: MIT
// Matrix products, packing included: ours, Eigen's, and for scale a naive loop. Names are m x n x k.
#include <formwork/kernel/product.hpp>

#include <memory>
#include <string>
#include <tuple>
#include <utility>

#include "support/bench.hpp"

namespace fw = formwork;
using fw::Index;

namespace {

enum class form { nn, nt, tn };

struct shape {
  std::string name;
  Index m, n, k;
};

struct operands {
  fw::matrix<float> a, b, c;
  operands(form f, const shape& s)
      : a(f == form::tn ? s.k : s.m, f == form::tn ? s.m : s.k),
        b(f == form::nt ? s.n : s.k, f == form::nt ? s.k : s.n),
        c(s.m, s.n) {
    fw::eigen(a).setRandom();
    fw::eigen(b).setRandom();
  }
};

void ours(form f, operands& o) {
  if (f == form::nn) fw::product_nn<float>(o.c, o.a, o.b);
  if (f == form::nt) fw::product_nt<float>(o.c, o.a, o.b);
  if (f == form::tn) fw::product_tn<float>(o.c, o.a, o.b);
}

void eigens(form f, operands& o) {
  const auto a = fw::eigen(o.a), b = fw::eigen(o.b);
  auto c = fw::eigen(o.c);
  if (f == form::nn) c.noalias() = a * b;
  if (f == form::nt) c.noalias() = a * b.transpose();
  if (f == form::tn) c.noalias() = a.transpose() * b;
}

void naive(operands& o) {
  for (Index i = 0; i < o.c.rows(); ++i) {
    std::fill_n(o.c.row(i), o.c.cols(), 0.f);
    for (Index k = 0; k < o.a.cols(); ++k)
      for (Index j = 0; j < o.c.cols(); ++j) o.c(i, j) += o.a(i, k) * o.b(k, j);
  }
}

template <class Run>
void add(const std::string& prefix, const char* name, form f, const shape& s, Run run) {
  const auto [m, n, k] = std::tuple(double(s.m), double(s.n), double(s.k));
  bench::row(prefix + "product/" + name + "/" + s.name, {.flops = 2 * m * n * k, .bytes = 4 * (m * k + k * n + m * n)}, [=] {
    return [o = std::make_shared<operands>(f, s), run] {
      run(*o);
      bench::keep(o->c);
    };
  });
}

}  // namespace

void bench::rows() {
  const shape shapes[] = {{"256", 256, 256, 256},
                          {"512", 512, 512, 512},
                          {"1024", 1024, 1024, 1024},
                          {"1024x3072x768", 1024, 3072, 768},
                          {"1024x768x3072", 1024, 768, 3072},
                          {"256x3072x768", 256, 3072, 768},
                          {"256x768x3072", 256, 768, 3072},
                          {"16x768x768", 16, 768, 768},
                          {"64x768x768", 64, 768, 768},
                          {"1x768x768", 1, 768, 768}};
  const std::pair<form, const char*> forms[] = {{form::nn, "nn"}, {form::nt, "nt"}, {form::tn, "tn"}};
  for (const auto& [f, name] : forms)
    for (const shape& s : shapes) {
      add("", name, f, s, [f = f](operands& o) { ours(f, o); });
      add("eigen/", name, f, s, [f = f](operands& o) { eigens(f, o); });
    }
  add("naive/", "nn", form::nn, shapes[0], naive);
  for (const Index n : {0, 1, 2}) add("two_threads/", "nn", form::nn, shapes[n], [](operands& o) { ours(form::nn, o); });
}
