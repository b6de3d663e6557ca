// SPDX-License-Identifier: MIT
#include <formwork/core/memory.hpp>

#include "support/catch.hpp"

#include <cstring>
#include <thread>
#include <vector>

namespace fw = formwork;

namespace {

bool on_a_cache_line(const void* p) { return reinterpret_cast<std::uintptr_t>(p) % 64 == 0; }

}  // namespace

TEST_CASE("pool: every block starts on a cache line and can be written to its end") {
  fw::pool pool;
  std::vector<void*> blocks;
  for (std::size_t bytes = 0; bytes < 5000; bytes += 37) {
    void* block = pool.take(bytes);
    REQUIRE(on_a_cache_line(block));
    std::memset(block, int(bytes % 251), bytes);
    blocks.push_back(block);
  }
  std::size_t bytes = 0;
  for (void* block : blocks) {
    const auto* first = static_cast<const unsigned char*>(block);
    for (std::size_t i = 0; i < bytes; ++i) REQUIRE(first[i] == bytes % 251);  // no two blocks overlap
    bytes += 37;
  }
  for (void* block : blocks) pool.give(block);
  CHECK(pool.statistics().in_use == 0);
  pool.trim();
  CHECK(pool.statistics().held == 0);
}

TEST_CASE("pool: at most an eighth of a block is unused") {
  fw::pool pool;
  for (std::size_t bytes = 64; bytes < 3'000'000; bytes += bytes / 7 + 1) {
    const std::size_t before = pool.statistics().held;
    void* block = pool.take(bytes);
    const std::size_t size = pool.statistics().held - before;
    CAPTURE(bytes, size);
    CHECK(size >= bytes);
    CHECK(size <= bytes + bytes / 8 + 64);
    pool.give(block);
    pool.trim();
  }
}

TEST_CASE("pool: the second step of the same requests makes no system call") {
  fw::pool pool;
  const auto step = [&pool](std::size_t scale) {
    std::vector<void*> held;
    for (std::size_t layer = 1; layer <= 12; ++layer) {
      void* passing = pool.take(scale * 4096);
      held.push_back(pool.take(scale * layer * 100));
      pool.give(passing);
    }
    while (!held.empty()) {
      void* passing = pool.take(scale * 5000);
      pool.give(held.back());
      held.pop_back();
      pool.give(passing);
    }
  };
  step(100);
  const auto calls = pool.statistics().system_calls;
  CHECK(calls > 0);
  for (int i = 0; i < 5; ++i) step(100);
  step(37);  // smaller ones neither
  CHECK(pool.statistics().system_calls == calls);
  CHECK(pool.statistics().in_use == 0);
  pool.trim();
}

TEST_CASE("pool: the peak is the most that was in use at once") {
  fw::pool pool;
  void* a = pool.take(6400);
  void* b = pool.take(6400);
  pool.give(a);
  const auto two = pool.statistics();
  CHECK(two.peak >= 12800);
  CHECK(two.in_use < two.peak);
  pool.reset_peak();
  CHECK(pool.statistics().peak == pool.statistics().in_use);
  pool.give(b);
  pool.give(nullptr);
  CHECK(pool.statistics().in_use == 0);
  pool.trim();
}

TEST_CASE("pool: a size that no machine has is refused") {
  fw::pool pool;
  CHECK_THROWS_AS(pool.take(std::size_t(1) << 62), std::bad_alloc);
  CHECK_THROWS_AS(pool.take(~std::size_t(0)), std::bad_alloc);
  CHECK(pool.statistics().in_use == 0);
}

TEST_CASE("pool: threads take and give at once without sharing a block") {
  fw::pool pool;
  std::vector<std::thread> team;
  std::vector<int> torn(4, 0);
  for (unsigned t = 0; t < 4; ++t)
    team.emplace_back([&pool, &torn, t] {
      for (unsigned i = 0; i < 2000; ++i) {
        const std::size_t words = 1 + i * 13 % 500;
        auto* block = static_cast<unsigned*>(pool.take(words * sizeof(unsigned)));
        for (std::size_t w = 0; w < words; ++w) block[w] = t * 100'000 + i;
        for (std::size_t w = 0; w < words; ++w) torn[t] += block[w] != t * 100'000 + i;
        pool.give(block);
      }
    });
  for (auto& thread : team) thread.join();
  for (const int t : torn) CHECK(t == 0);
  CHECK(pool.statistics().in_use == 0);
  pool.trim();
}

TEST_CASE("scratch and pooled vectors give their memory back") {
  const std::size_t before = fw::pool::instance().statistics().in_use;
  {
    const fw::scratch<float> numbers(1000);
    numbers[999] = 3;
    CHECK(on_a_cache_line(numbers.data()));
    fw::pooled_vector<double> list(77, 1.5);
    CHECK(on_a_cache_line(list.data()));
    CHECK(list[76] == 1.5);
    CHECK(fw::pool::instance().statistics().in_use >= before + 4000 + 77 * 8);
    const fw::scratch<double> nothing(0);
  }
  CHECK(fw::pool::instance().statistics().in_use == before);
}

TEST_CASE("scratch_layout gives whole cache lines one after another, and no more than those") {
  const fw::scratch<float> room(80);
  fw::scratch_layout<float> measured, layout{room.data()};
  std::ptrdiff_t at = 0;
  for (const std::ptrdiff_t count : {1, 16, 17, 0, 15}) {
    CHECK(layout.take(count) == room.data() + at);
    CHECK(measured.take(count) == nullptr);
    at += (count > 16 ? 2 : count > 0 ? 1 : 0) * 16;
    CHECK(layout.used == at);
    CHECK(measured.used == at);
  }
}
