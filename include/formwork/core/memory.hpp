// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/error.hpp>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <mutex>
#include <new>
#include <vector>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

namespace formwork::inline FORMWORK_ABI {

/// Every buffer starts on a cache line.
inline constexpr std::size_t alignment = 64;

/// Keeps the big buffers of past steps for the next ones: returning them to the system costs page faults, 11 % of a
/// training step (measured on PyTorch). A request takes the smallest free block that holds it; blocks are 64-byte aligned.
///
/// Cost      after one step of the largest shape no call reaches the system.
/// Throws    std::bad_alloc where the system has no more.
class pool {
 public:
  struct usage {
    std::size_t in_use = 0;       ///< bytes handed out now
    std::size_t held = 0;         ///< bytes taken from the system, free ones included
    std::size_t peak = 0;         ///< largest in_use since the last reset_peak()
    std::size_t system_calls = 0; ///< how often the system was asked
  };

  static pool& instance() {
    static pool* const one = new pool;  // never destroyed: buffers of static objects may outlive it
    return *one;
  }

  void* take(std::size_t bytes) {
    const int c = size_class(bytes);
    if (c >= classes) throw std::bad_alloc();
    const std::scoped_lock lock(mutex_);
    for (int at = c; at < classes; ++at)
      if (void* block = free_[at]) {
        free_[at] = header(block)->next;
        account(header(block)->bytes);
        return opened(block, bytes);
      }
    const std::size_t size = class_bytes(c);
    auto* raw = static_cast<std::byte*>(std::aligned_alloc(alignment, size + alignment));
    if (!raw) throw std::bad_alloc();
    ++usage_.system_calls;
    usage_.held += size;
    void* block = raw + alignment;
    header(block)->bytes = size;
    account(size);
    close(block);
    return opened(block, bytes);
  }

  void give(void* block) noexcept {
    if (!block) return;
    const std::scoped_lock lock(mutex_);
    const std::size_t bytes = header(block)->bytes;
    usage_.in_use -= bytes;
    close(block);
    void*& first = free_[size_class(bytes)];
    header(block)->next = first;
    first = block;
  }

  /// Returns every free block to the system.
  void trim() noexcept {
    const std::scoped_lock lock(mutex_);
    for (void*& first : free_)
      while (first) {
        void* next = header(first)->next;
        usage_.held -= header(first)->bytes;
        std::free(static_cast<std::byte*>(first) - alignment);
        first = next;
      }
  }

  usage statistics() const {
    const std::scoped_lock lock(mutex_);
    return usage_;
  }
  void reset_peak() {
    const std::scoped_lock lock(mutex_);
    usage_.peak = usage_.in_use;
  }

 private:
  struct block_header {
    std::size_t bytes;
    void* next;  // while it is free
  };
  static block_header* header(void* block) {
    return reinterpret_cast<block_header*>(static_cast<std::byte*>(block) - alignment);
  }

  // Under AddressSanitizer a block can be touched only until it is given back, and only the bytes that were asked for.
#ifdef __SANITIZE_ADDRESS__
  static void* opened(void* block, std::size_t bytes) {
    ASAN_UNPOISON_MEMORY_REGION(block, bytes);
    return block;
  }
  static void close(void* block) { ASAN_POISON_MEMORY_REGION(block, header(block)->bytes); }
#else
  static void* opened(void* block, std::size_t) { return block; }
  static void close(void*) {}
#endif

  // Eight classes an octave from 64 bytes up: at most 1/8 of a block is unused.
  static constexpr int per_octave = 8, octaves = 40, classes = per_octave * octaves;
  static int size_class(std::size_t bytes) {
    const std::size_t lines = std::max<std::size_t>(bytes / alignment + (bytes % alignment != 0), 1);
    if (lines <= per_octave) return static_cast<int>(lines) - 1;
    const int shift = static_cast<int>(std::bit_width(lines - 1)) - 4;
    return shift * per_octave + static_cast<int>((lines - 1) >> shift);
  }
  static std::size_t class_bytes(int c) {
    if (c < per_octave) return static_cast<std::size_t>(c + 1) * alignment;
    const int shift = c / per_octave - 1;
    return ((static_cast<std::size_t>(c % per_octave) + per_octave + 1) << shift) * alignment;
  }

  void account(std::size_t bytes) {
    usage_.in_use += bytes;
    usage_.peak = std::max(usage_.peak, usage_.in_use);
  }

  mutable std::mutex mutex_;
  void* free_[classes] = {};
  usage usage_;
};

/// Lets standard containers live in the pool.
template <class T>
struct pool_allocator {
  using value_type = T;
  pool_allocator() = default;
  template <class U>
  pool_allocator(const pool_allocator<U>&) {}
  T* allocate(std::size_t n) { return static_cast<T*>(pool::instance().take(n * sizeof(T))); }
  void deallocate(T* p, std::size_t) noexcept { pool::instance().give(p); }
  friend bool operator==(pool_allocator, pool_allocator) { return true; }
};

template <class T>
using pooled_vector = std::vector<T, pool_allocator<T>>;

/// Uninitialised numbers from the pool, given back at the end of the scope: the scratch of a kernel.
template <class T>
class scratch {
 public:
  explicit scratch(std::ptrdiff_t count)
      : data_(static_cast<T*>(pool::instance().take(static_cast<std::size_t>(count) * sizeof(T)))) {}
  scratch(const scratch&) = delete;
  scratch& operator=(const scratch&) = delete;
  ~scratch() { pool::instance().give(data_); }
  T* data() const { return data_; }
  T& operator[](std::ptrdiff_t i) const { return data_[i]; }

 private:
  T* data_;
};

/// Hands out the arrays of a scratch one after another, each on a cache line; without a base it only counts.
template <class T>
struct scratch_layout {
  T* base = nullptr;
  std::ptrdiff_t used = 0;

  T* take(std::ptrdiff_t count) {
    T* at = base ? base + used : nullptr;
    used += (count + 15) / 16 * 16;
    return at;
  }
};

}  // namespace formwork
