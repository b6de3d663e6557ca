// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/tape/fields.hpp>
#include <formwork/tape/tape.hpp>

#include <algorithm>
#include <cmath>
#include <ostream>
#include <string>
#include <vector>

namespace formwork::inline FORMWORK_ABI {

struct gradcheck_options {
  double step = 2e-4;         ///< relative to max(1, |entry|)
  double tolerance = 1e-6;    ///< of the relative error
  Index every_up_to = 2000;   ///< a parameter with more entries is sampled
  Index sample = 200;         ///< entries of such a parameter
  std::uint64_t seed = 1;     ///< of the tape
};

/// What gradcheck found; true where every checked entry is within the tolerance.
struct gradcheck_report {
  double worst = 0;    ///< largest relative error
  std::string where;   ///< its parameter and entry
  Index entries = 0;   ///< how many were checked
  bool passed = true;
  explicit operator bool() const { return passed; }
  friend std::ostream& operator<<(std::ostream& out, const gradcheck_report& r) {
    return out << r.entries << " entries, worst relative error " << r.worst << " at " << r.where;
  }
};

/// Compares the gradients of a scalar loss with central differences (of fourth order), in double.
///
/// `module` is anything with fields(), a parameter, or a std::tuple or vector of them; `loss(tape)` computes the 1 × 1 loss
/// from it and must be deterministic. Inputs of an op are checked as parameters: use(tape, p).
///
/// Numerics  error = |a - n| / max(|a|, |n|, 1e-3 largest |a| of that parameter, 1e-4 of all): the differences carry about
///           1e-11 of the largest.
/// Example   parameter<double> x(values, role::matrix);
///           CHECK(gradcheck(x, [&](tape<double>& t) { return sum(my_op(use(t, x))); }));
template <class Module, class Loss>
gradcheck_report gradcheck(Module& module, Loss&& loss, gradcheck_options options = {}) {
  const auto evaluate = [&] {
    tape<double> t{{.seed = options.seed}};
    return double(loss(t).item());
  };
  for_each_parameter(module, [](auto& p) { p.mark_stale(); });
  {
    tape<double> t{{.seed = options.seed}};
    t.backward(loss(t));
  }
  double largest = 0;  // of the module: what differences can resolve is relative to it
  for_each_parameter(module, [&](auto& p) {
    if (p.has_gradient() && p.size() > 0) largest = std::max(largest, eigen(p.gradient()).cwiseAbs().maxCoeff());
  });
  gradcheck_report report;
  for_each_named_parameter(module, [&](const std::string& path, parameter<double>& p) {
    if (p.frozen()) return;
    const bool reached = p.has_gradient();
    const matrix<double> gradient = reached ? matrix<double>(std::as_const(p).gradient()) : matrix<double>(p.rows(), p.cols(), 0.0);
    const double own = gradient.empty() ? 0 : eigen(gradient).cwiseAbs().maxCoeff();
    const Index size = p.size(), stride = size <= options.every_up_to ? 1 : std::max<Index>(1, size / options.sample);
    for (Index i = 0; i < size; i += stride) {
      double& entry = p.value().data()[i];
      const double kept = entry, h = options.step * std::max(1.0, std::abs(kept));
      const auto at = [&](double offset) {
        entry = kept + offset;
        return evaluate();
      };
      const double near = (at(h) - at(-h)) / (2 * h), far = (at(2 * h) - at(-2 * h)) / (4 * h);
      entry = kept;
      const double numeric = (4 * near - far) / 3, analytic = gradient.data()[i];
      const double error = std::abs(numeric - analytic) /
                           std::max({std::abs(numeric), std::abs(analytic), 1e-3 * own, 1e-4 * largest, 1e-8});
      ++report.entries;
      if (!(error <= report.worst)) {
        report.worst = error;
        report.where = text(path.empty() ? "parameter" : path, "[", i / p.cols(), ", ", i % p.cols(), "]: ", analytic,
                            " by backward, ", numeric, " by differences");
      }
    }
  });
  report.passed = report.worst <= options.tolerance;
  return report;
}

}  // namespace formwork
