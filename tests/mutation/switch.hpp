// SPDX-License-Identifier: MIT
// Many mutants in one program: the environment variable FORMWORK_MUTANT names the one that is in force. mutate.py writes these
// into the headers. Where a place is evaluated by the compiler the code stays as it is, and the mutant is not `met`.
#pragma once
#include <cstdio>
#include <cstdlib>
#include <type_traits>
#include <utility>

namespace mutation {

inline const int chosen = std::getenv("FORMWORK_MUTANT") ? std::atoi(std::getenv("FORMWORK_MUTANT")) : -1;

/// Leaves the file FORMWORK_MET behind when the program ends and the chosen mutant's place was run.
struct trace {
  volatile bool met = false;
  ~trace() {
    const char* const path = std::getenv("FORMWORK_MET");
    if (std::FILE* const file = met && path ? std::fopen(path, "w") : nullptr) std::fclose(file);
  }
};
inline trace traced;

template <int N>
constexpr bool on() {
  if (std::is_constant_evaluated() || chosen != N) return false;
  if (!traced.met) traced.met = true;
  return true;
}

template <int N>
constexpr int number(int was, int is) {
  return on<N>() ? is : was;
}
template <int N, class T>
constexpr T least(const T& a, const T& b) {
  return (b < a) != on<N>() ? b : a;
}
template <int N, class T>
constexpr T greatest(const T& a, const T& b) {
  return (a < b) != on<N>() ? b : a;
}

// a + infix<17> + b is a + b, or a - b once mutant 17 is on: an operator twice keeps its precedence.
template <int N>
struct between {};
template <int N>
inline constexpr between<N> infix;
template <int N, class A>
struct left {
  const A& a;
};
template <int N, class B>
struct right {
  const B& b;
};

#define MUTATION_OPERATOR(was, is)                               \
  template <class A, int N>                                      \
  constexpr left<N, A> operator was(const A& a, between<N>) {    \
    return {a};                                                  \
  }                                                              \
  template <int N, class A, class B>                             \
  constexpr auto operator was(left<N, A> l, const B& b) {        \
    return on<N>() ? l.a is b : l.a was b;                       \
  }
#define MUTATION_ASSIGNMENT(was, is)                             \
  template <int N, class B>                                      \
  constexpr right<N, B> operator was(between<N>, const B& b) {   \
    return {b};                                                  \
  }                                                              \
  template <class A, int N, class B>                             \
  constexpr decltype(auto) operator was(A&& a, right<N, B> r) {  \
    return on<N>() ? a is r.b : a was r.b;                       \
  }
MUTATION_OPERATOR(<, <=)
MUTATION_OPERATOR(<=, <)
MUTATION_OPERATOR(>, >=)
MUTATION_OPERATOR(>=, >)
MUTATION_OPERATOR(==, !=)
MUTATION_OPERATOR(!=, ==)
MUTATION_OPERATOR(+, -)
MUTATION_OPERATOR(-, +)
MUTATION_OPERATOR(*, /)
MUTATION_OPERATOR(/, *)
MUTATION_OPERATOR(%, /)
MUTATION_ASSIGNMENT(+=, -=)
MUTATION_ASSIGNMENT(-=, +=)
MUTATION_ASSIGNMENT(*=, /=)
#undef MUTATION_OPERATOR
#undef MUTATION_ASSIGNMENT

}  // namespace mutation
