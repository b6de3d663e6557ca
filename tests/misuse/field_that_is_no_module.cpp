// SPDX-License-Identifier: MIT
// expect: formwork: a field is neither a parameter, nor a module with fields(), nor a range of them
#include <formwork/tape.hpp>

namespace fw = formwork;

struct module {
  fw::parameter<float> weight;
  double rate = 1;
  template <class M>
  static auto fields(M& m) {
#ifdef MISUSE
    return fw::fields("weight", m.weight, "rate", m.rate);
#else
    return fw::fields("weight", m.weight);
#endif
  }
};

fw::Index count(const module& m) { return fw::parameter_count(m); }
