// SPDX-License-Identifier: MIT
#include <formwork/kernel/product.hpp>

#include "kernel/sweep.hpp"

#include <atomic>
#include <string>

#ifdef __linux__
#include <sys/mman.h>
#include <unistd.h>
#endif

using namespace checks;
using fw::operands;
using fw::start;

namespace {

constexpr operands forms[] = {operands::nn, operands::nt, operands::tn};

struct shape {
  Index m, n, k;
};

/// A product's operands, and c before it; both forms of an operand hold the same numbers.
template <class S>
struct problem {
  fw::matrix<S> a, b, c;
  problem(shape s, std::uint64_t seed) {
    numbers r(seed);
    a = r.matrix<S>(s.m, s.k), b = r.matrix<S>(s.k, s.n), c = r.matrix<S>(s.m, s.n);
  }
};

template <class S, class Epilogue = fw::none>
void multiply(operands form, fw::view<S> c, fw::view<const S> a, fw::view<const S> b, start how,
              const Epilogue& after = {}, fw::repeated again = {}) {
  if (form == operands::nn) fw::product_nn<S>(c, a, b, how, after, again);
  if (form == operands::nt) fw::product_nt<S>(c, a, b, how, after, again);
  if (form == operands::tn) fw::product_tn<S>(c, a, b, how, after, again);
}
template <class S, class Epilogue = fw::none>
fw::matrix<S> product(operands form, const problem<S>& p, start how, const Epilogue& after = {}) {
  auto c = p.c;
  multiply<S>(form, c, form == operands::tn ? transposed(p.a) : p.a, form == operands::nt ? transposed(p.b) : p.b, how, after);
  return c;
}

/// One chain for each element, in the order of k.
template <class S>
fw::matrix<S> chains(const problem<S>& p, start how) {
  using one = fw::pack<S, 1>;
  auto c = p.c;
  if (how == start::fresh) c.fill(S(0));
  for (Index i = 0; i < c.rows(); ++i)
    for (Index k = 0; k < p.a.cols(); ++k)
      for (Index j = 0; j < c.cols(); ++j) c(i, j) = fma(one(p.a(i, k)), one(p.b(k, j)), one(c(i, j)))[0];
  return c;
}

#ifdef __linux__
/// A matrix whose last number is the last one before memory that may not be touched.
template <class S>
class before_a_wall {
 public:
  explicit before_a_wall(const fw::matrix<S>& m) : rows_(m.rows()), cols_(m.cols()) {
    const auto bytes = static_cast<std::size_t>(m.size()) * sizeof(S), page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    const std::size_t in_front = (bytes + page - 1) / page * page;
    mapped_ = in_front + page;
    memory_ = static_cast<char*>(mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    REQUIRE(memory_ != MAP_FAILED);
    REQUIRE(mprotect(memory_ + in_front, page, PROT_NONE) == 0);
    first_ = reinterpret_cast<S*>(memory_ + in_front - bytes);
    std::copy_n(m.data(), m.size(), first_);
  }
  before_a_wall(const before_a_wall&) = delete;
  before_a_wall& operator=(const before_a_wall&) = delete;
  ~before_a_wall() { munmap(memory_, mapped_); }

  operator fw::view<S>() { return {first_, rows_, cols_, cols_}; }
  operator fw::view<const S>() { return {first_, rows_, cols_, cols_}; }

 private:
  Index rows_, cols_;
  std::size_t mapped_ = 0;
  char* memory_ = nullptr;
  S* first_ = nullptr;
};
#endif

/// One off every edge: of tiles, panels, blocks, and of the sizes that choose another path.
template <class S>
std::vector<shape> shapes() {
  constexpr Index w = fw::tile_cols<S>, t = fw::tile_rows, l = fw::lanes<S>, many = fw::block_product<S>::cols_in_place;
  std::vector<shape> r = {{0, 3, 4}, {3, 0, 4}, {3, 4, 0}, {0, 0, 0}, {1, 1, 1}, {1, 100, 77}, {1, 2 * l, 3 * l},
                          {1, 2 * l + 1, 3 * l + 1}, {2, 1, 1}, {65, 25, 1}, {t, w, 192}, {t + 1, w + 1, 193},
                          {t - 1, w - 1, 191}, {3, 50, fw::block_product<S>::block_depth + 1}, {17, 2 * w + 1, 400}};
  for (const Index m : {t * t, t * t + 1, Index(64), Index(65)}) r.push_back({m, w + l, 50}), r.push_back({m, many + 1, 33});
  r.push_back({fw::block_product<S>::block_rows() + 3, many + w + 1, 40});
  r.push_back({5, 30, 1537});
  numbers random(3);
  for (int i = 0; i < 60; ++i) r.push_back({1 + random.below(70), 1 + random.below(200), 1 + random.below(420)});
  return r;
}

/// A user's formula, whose slope is that of x².
struct square {
  template <class T>
  T operator()(T x) const {
    return x * x;
  }
};

/// What may follow a product in a layer, in T; operands of the epilogue are as large as c.
enum class ending { nothing, bias_and_formula, residual, gate };
template <class T>
fw::matrix<T> finished(ending e, fw::matrix<T> y, const fw::matrix<T>& bias, const fw::matrix<T>& x) {
  for (Index i = 0; i < y.rows(); ++i)
    for (Index j = 0; j < y.cols(); ++j) {
      T& at = y(i, j);
      if (e == ending::bias_and_formula) at = square()(at + bias(0, j));
      if (e == ending::residual) at = x(i, j) + at;
      if (e == ending::gate) at = square()(x(i, j)) * at;
    }
  return y;
}

/// The plain loop, each sum in order.
template <class T>
fw::matrix<T> loop(const problem<float>& p, start how) {
  auto c = as<T>(p.c);
  if (how == start::fresh) c.fill(T(0));
  for (Index i = 0; i < c.rows(); ++i)
    for (Index k = 0; k < p.a.cols(); ++k)
      for (Index j = 0; j < c.cols(); ++j) c(i, j) += T(p.a(i, k)) * T(p.b(k, j));
  return c;
}

/// One product, or one repeated over heads whose operands lie side by side.
template <class S>
void random_case(trial& t) {
  const shape s{t.size(500, 0), t.size(500, 0), 0};
  const Index depth = t.size(std::max<Index>(1, 1'000'000 / ((s.m + 1) * (s.n + 1))), 0);
  const operands form = t.any({operands::nn, operands::nt, operands::tn});
  const auto how = t.any({start::fresh, start::continued});
  const auto end = t.any({ending::nothing, ending::bias_and_formula, ending::residual, ending::gate});
  const Index count = end == ending::nothing && t.once_in(2) ? 2 + t.below(4) : 1;
  CAPTURE(s.m, s.n, depth, count, int(form), int(how), int(end));

  std::vector<problem<S>> each;
  for (Index h = 0; h < count; ++h) each.emplace_back(shape{s.m, s.n, depth}, t.seed() + (std::uint64_t(h) << 48));
  const auto side_by_side = [&](auto part) {
    fw::matrix<S> all;
    for (Index h = 0; h < count; ++h) {
      const auto one = part(each[std::size_t(h)]);
      if (h == 0) all = fw::matrix<S>(one.rows(), count * one.cols());
      for (Index i = 0; i < one.rows(); ++i) std::copy_n(one.row(i), one.cols(), all.row(i) + h * one.cols());
    }
    return all;
  };
  places at = t.anywhere();
  auto a = at(side_by_side([&](const auto& p) { return form == operands::tn ? transposed(p.a) : p.a; }));
  auto b = at(side_by_side([&](const auto& p) { return form == operands::nt ? transposed(p.b) : p.b; }));
  auto c = at(side_by_side([&](const auto& p) { return p.c; }));
  numbers r(t.seed() + 1);
  const auto bias = r.matrix<S>(1, s.n), x = r.matrix<S>(s.m, s.n);
  auto bias_there = at(bias), x_there = at(x);
  const fw::repeated again{
      .count = count, .c = s.n, .a = form == operands::tn ? s.m : depth, .b = form == operands::nt ? depth : s.n};
  const auto one = [count](fw::view<S> m) { return m.cols(0, m.cols() / count); };
  const auto run = [&](const auto& after) { multiply<S>(form, one(c), one(a), one(b), how, after, again); };
  switch (end) {
    case ending::nothing:
      run(fw::none());
      break;
    case ending::bias_and_formula:
      run(fw::chained(fw::add_bias{bias_there.data()}, fw::activate<S, square>{{}, {}}));
      break;
    case ending::residual:
      run(fw::add_residual<S>{x_there});
      break;
    case ending::gate:
      run(fw::gate<S, square>{{}, x_there});
      break;
  }

  const auto got = c.copy();
  for (Index h = 0; h < count; ++h) {
    const auto& p = each[std::size_t(h)];
    const fw::matrix<S> ours(got.cols(h * s.n, s.n));
    CHECK(same_bits(ours, finished(end, chains(p, how), bias, x)));
    if constexpr (std::is_same_v<S, float>)
      t.accurate("product", ours, finished(end, loop<float>(p, how), bias, x),
                 finished(end, loop<double>(p, how), as<double>(bias), as<double>(x)), 2);
  }
}

}  // namespace

TEMPLATE_TEST_CASE("every product is one chain an element, bit for bit, in every form and at every edge", "", float, double) {
  using S = TestType;
  std::uint64_t seed = 0;
  for (const shape s : shapes<S>()) {
    const problem<S> p(s, ++seed);
    for (const auto how : {start::fresh, start::continued}) {
      const auto expected = chains(p, how);
      for (const operands form : forms) {
        INFO("m " << s.m << " n " << s.n << " k " << s.k << " form " << int(form) << " continued " << (how == start::continued));
        CHECK(same_bits(product(form, p, how), expected));
      }
    }
  }
}

TEMPLATE_TEST_CASE("products over random shapes are one chain an element and as accurate as the rule asks", "", float,
                   double) {
  sweep(few_cases, random_case<TestType>);
}
TEMPLATE_TEST_CASE("products over 2000 random shapes are one chain an element and as accurate as the rule asks",
                   "[.slow]", float, double) {
  sweep(many_cases, random_case<TestType>);
}

TEMPLATE_TEST_CASE("products: a split of k that continues has the bits of the whole", "", float, double) {
  using S = TestType;
  const problem<S> p({20, 60, 500}, 1);
  const auto whole = product(operands::nn, p, start::fresh);
  for (const Index at : {1, 7, 192, 250, 499}) {
    auto c = p.c;
    fw::product_nn<S>(c, p.a.cols(0, at), p.b.rows(0, at));
    fw::product_nn<S>(c, p.a.cols(at, 500 - at), p.b.rows(at, 500 - at), start::continued);
    CHECK(same_bits(c, whole));
  }
}

TEMPLATE_TEST_CASE("products: bits do not depend on threads, other rows, alignment or strides, and no gap is written", "", float,
                   double) {
  using S = TestType;
  for (const shape s : {shape{300, 170, 130}, shape{1, 900, 700}, shape{12, 500, 300}}) {
    const problem<S> p(s, 5);
    for (const operands form : forms) {
      const auto all = product(form, p, start::fresh);
      check_threads("product", [&] { return product(form, p, start::fresh); });
      const auto a = form == operands::tn ? transposed(p.a) : p.a, b = form == operands::nt ? transposed(p.b) : p.b;
      for (Index offset = 0; offset < 16; ++offset) {
        shifted<S> left(a, offset, 3), right(b, 15 - offset, offset % 4), c(p.c, 5 + offset, 2);
        multiply<S>(form, c.view(), left.view(), right.view(), start::fresh);
        CHECK(same_bits(c.copy(), all));
      }
      if (form == operands::tn) continue;
      fw::matrix<S> one(1, s.n);
      multiply<S>(form, one, a.rows(s.m / 2, 1), b, start::fresh);
      CHECK(same_bits(one, fw::matrix<S>(all.rows(s.m / 2, 1))));
    }
  }
}

TEMPLATE_TEST_CASE("products: a number that is not finite reaches its own row or column only", "", float, double) {
  using S = TestType;
  problem<S> p({21, 61, 50}, 2);
  const auto clean = product(operands::nn, p, start::fresh);
  p.a(3, 7) = std::numeric_limits<S>::quiet_NaN();
  p.b(9, 60) = std::numeric_limits<S>::infinity();
  for (const operands form : forms) {
    const auto c = product(form, p, start::fresh);
    for (Index i = 0; i < 21; ++i)
      for (Index j = 0; j < 61; ++j) {
        if (i != 3 && j != 60)
          REQUIRE(c(i, j) == clean(i, j));
        else
          REQUIRE_FALSE(std::isfinite(c(i, j)));
      }
  }
}

TEMPLATE_TEST_CASE("products of one operand, and a product repeated over heads, have the bits of each alone", "", float, double) {
  using S = TestType;
  for (const Index m : {1, 9, 300, 2100}) {
    numbers r(7);
    const auto a = r.matrix<S>(m, 70), b = r.matrix<S>(70, 90), c = r.matrix<S>(70, 1), d = r.matrix<S>(70, 130);
    const auto bias = r.matrix<S>(1, 130);
    fw::matrix<S> x(m, 90), y(m, 1), z(m, 130), x1(m, 90), y1(m, 1), z1(m, 130);
    fw::product_nn<S>(x1, a, b), fw::product_nn<S>(y1, a, c), fw::product_nn<S>(z1, a, d, start::fresh, fw::add_bias{bias.data()});
    for (const int threads : {1, 2, 3, 8}) {
      fw::threads(threads);
      fw::products<S>(operands::nn, a, start::fresh, fw::into<S>(x, b), fw::into<S>(y, c),
                      fw::into<S>(z, d, fw::add_bias{bias.data()}));
      CHECK((same_bits(x, x1) && same_bits(y, y1) && same_bits(z, z1)));
      x.fill(0), y.fill(0), z.fill(0);
      // An epilogue reads the rows of the product before.
      fw::matrix<S> gated(m, 90);
      fw::products<S>(operands::nn, a, start::fresh, fw::into<S>(x, b), fw::into<S>(gated, b, fw::gate<S, square>{{}, x}));
      bool right = true;
      for (Index i = 0; i < m; ++i)
        for (Index j = 0; j < 90; ++j) right = right && gated(i, j) == x1(i, j) * x1(i, j) * x1(i, j);
      CHECK(right);
    }
    fw::threads(1);
  }
  constexpr Index heads = 5, tokens = 33, width = 16;
  numbers r(8);
  const auto q = r.matrix<S>(tokens, heads * width), k = r.matrix<S>(tokens, heads * width);
  fw::matrix<S> scores(heads * tokens, tokens), one(tokens, tokens);
  fw::product_nt<S>(scores.rows(0, tokens), q.cols(0, width), k.cols(0, width), start::fresh, {},
                    {.count = heads, .c = tokens * tokens, .a = width, .b = width});
  for (Index h = 0; h < heads; ++h) {
    fw::product_nt<S>(one, q.cols(h * width, width), k.cols(h * width, width));
    CHECK(same_bits(one, fw::matrix<S>(scores.rows(h * tokens, tokens))));
  }
}

TEMPLATE_TEST_CASE("an epilogue meets every element once, when its chain is whole", "", float, double) {
  using S = TestType;
  for (const shape s : {shape{1, 50, 60}, shape{7, 61, 500}, shape{270, 200, 390}})
    for (const operands form : forms)
      for (const int threads : {1, 3}) {
        fw::threads(threads);
        const problem<S> p(s, 9);
        const auto plain = product(form, p, start::continued);
        fw::matrix<S> seen(s.m, s.n, S(0));
        std::atomic<bool> right = true;
        const auto c = product(form, p, start::continued, [&](Index row, Index col, fw::pack<S> value, Index count) {
          for (Index j = 0; j < std::min<Index>(count, fw::lanes<S>); ++j) {
            seen(row, col + j) += 1;
            if (value[int(j)] != plain(row, col + j)) right = false;
          }
          return value + fw::pack<S>(1);
        });
        CHECK(right);
        CHECK(same_bits(seen, fw::matrix<S>(s.m, s.n, S(1))));
        bool added = true;
        for (Index i = 0; i < c.size(); ++i) added = added && c.data()[i] == plain.data()[i] + S(1);
        CHECK(added);
      }
  fw::threads(1);
}

#ifdef _OPENMP
TEST_CASE("two threads take half of a product each: columns where the tiles of rows cannot be halved") {
  constexpr Index l = fw::lanes<float>;
  const problem<float> p({3 * fw::tile_rows, 4 * l, 8192}, 2);
  fw::threads(2);
  const auto turn = product(operands::nn, p, start::fresh, [](Index, Index, fw::pack<float>, Index) {
    static thread_local float count = 0;
    return fw::pack<float>(++count);
  });
  fw::threads(1);
  // Tiles are as wide as what a thread has, up to three packs.
  CHECK(turn(1, 0) - turn(0, 0) == 2);
  CHECK(turn(1, 2 * l) - turn(0, 2 * l) == 2);
}
#endif

#ifdef __linux__
TEMPLATE_TEST_CASE("products read and write nothing behind their operands, not even to throw it away", "", float, double) {
  using S = TestType;
  for (const Index m : {1, 3, 5, 13, 70})
    for (const Index n : {1, 3, 17, 33, 61})
      for (const Index k : {1, 5, 18, 33})
        for (const operands form : forms) {
          CAPTURE(m, n, k, int(form));
          const problem<S> p({m, n, k}, 4);
          before_a_wall<S> a(form == operands::tn ? transposed(p.a) : p.a), b(form == operands::nt ? transposed(p.b) : p.b);
          before_a_wall<S> c(p.c);
          multiply<S>(form, c, a, b, start::continued);
          CHECK(same_bits(fw::matrix<S>(fw::view<const S>(c)), chains(p, start::continued)));
        }
}
#endif

TEMPLATE_TEST_CASE("the epilogues of layers are their formulas", "", float, double) {
  using S = TestType;
  const problem<S> p({13, 61, 200}, 11);
  const auto y = product(operands::nn, p, start::fresh);
  numbers r(12);
  const auto bias = r.matrix<S>(1, 61), x = r.matrix<S>(13, 61), u = r.matrix<S>(13, 61);
  const auto expect = [&](const fw::matrix<S>& c, auto formula) {
    bool same = true;
    for (Index i = 0; i < 13; ++i)
      for (Index j = 0; j < 61; ++j) same = same && c(i, j) == formula(i, j);
    CHECK(same);
  };
  expect(product(operands::nn, p, start::fresh, fw::add_bias{bias.data()}), [&](Index i, Index j) { return y(i, j) + bias(0, j); });
  expect(product(operands::nn, p, start::fresh, fw::add_bias<S>{}), [&](Index i, Index j) { return y(i, j); });
  expect(product(operands::nn, p, start::fresh, fw::add_residual<S>{x}), [&](Index i, Index j) { return x(i, j) + y(i, j); });

  fw::matrix<S> before(13, 61), h(13, 61);
  expect(product(operands::nn, p, start::fresh, fw::chained(fw::add_bias{bias.data()}, fw::activate<S, square>{{}, before})),
         [&](Index i, Index j) { return before(i, j) * before(i, j); });
  expect(before, [&](Index i, Index j) { return y(i, j) + bias(0, j); });
  expect(product(operands::nn, p, start::fresh, fw::gate<S, square>{{}, x, before}),
         [&](Index i, Index j) { return x(i, j) * x(i, j) * y(i, j); });
  expect(before, [&](Index i, Index j) { return y(i, j); });

  expect(product(operands::nn, p, start::fresh, fw::activate_backward<S, square>{{}, x, h}),
         [&](Index i, Index j) { return y(i, j) * (x(i, j) + x(i, j)); });
  expect(h, [&](Index i, Index j) { return x(i, j) * x(i, j); });
  auto g = x;
  expect(product(operands::nn, p, start::fresh, fw::gate_backward<S, square>{{}, g, u, h}),
         [&](Index i, Index j) { return y(i, j) * (x(i, j) * x(i, j)); });
  expect(h, [&](Index i, Index j) { return x(i, j) * x(i, j) * u(i, j); });
  expect(g, [&](Index i, Index j) { return y(i, j) * u(i, j) * (x(i, j) + x(i, j)); });
}

TEST_CASE("stretches are at most as long as asked for and follow one another") {
  for (Index total = 0; total <= 70; ++total) {
    Index next = 0;
    fw::in_stretches(total, 24, 8, [&](fw::stretch one) {
      CHECK(one.first == next);
      CHECK(one.count <= 24);
      next = one.end();
    });
    CHECK(next == total);
  }
}

TEST_CASE("products of shapes that do not fit are refused by name") {
  fw::matrix<float> a(3, 4), b(5, 6), c(3, 6);
  CHECK_THROWS_WITH(fw::product_nn<float>(c, a, b), ContainsSubstring("product_nn: a is (3 × 4), b is (5 × 6) and c is (3 × 6); needs"));
  CHECK_THROWS_AS(fw::product_nt<float>(c, a, b), fw::argument_error);
  CHECK_THROWS_AS(fw::product_tn<float>(c, a, b), fw::argument_error);
}
