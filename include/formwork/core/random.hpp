// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/math.hpp>
#include <formwork/core/matrix.hpp>
#include <formwork/core/parallel.hpp>

#include <array>
#include <cstdint>

namespace formwork::inline FORMWORK_ABI {

/// The counter-based generator Philox4x32-10: four random words as a function of a key and a counter. There is no hidden
/// state: any draw can be repeated, in any order, on any thread.
///
/// Cost      0.6 ns a word in fill (AVX-512, 3 GHz), 5 ns a block alone.
/// Source    Salmon et al., SC 2011; the test compares with the known answers of Random123 (kat_vectors).
struct philox {
  using block = std::array<std::uint32_t, 4>;

  std::uint64_t key = 0;

  /// The block at counter (low, high), each two words, the lower one first.
  block operator()(std::uint64_t low, std::uint64_t high = 0) const {
    std::uint64_t x[4];
    rounds<1>(x, low, high);
    return {std::uint32_t(x[0]), std::uint32_t(x[1]), std::uint32_t(x[2]), std::uint32_t(x[3])};
  }

  /// Words 4 b .. 4 b + 3 are the block at (first + b, high).
  void fill(std::uint32_t* words, Index blocks, std::uint64_t first, std::uint64_t high = 0) const {
    const philox source = *this;  // a copy that no store can change: its round keys stay in registers
    for (Index b = 0; b < blocks; b += width) {
      const auto [u, v] = source.pairs_at(first + std::uint64_t(b), high);
      if (b + width <= blocks) {
        interleave(words + 4 * b, u, v);
      } else {
        std::uint32_t last[4 * width];
        interleave(last, u, v);
        std::copy_n(last, 4 * (blocks - b), words + 4 * b);
      }
    }
  }

  /// Blocks that are computed side by side, a lane each.
  static constexpr int width = lanes<double>;
  using lanes64 = typename vector_of<std::uint64_t, width>::type;

  /// Words 0, 1 and words 2, 3 of the blocks at (first, high), (first + 1, high), ..., the lower word first.
  struct word_pairs {
    lanes64 first, second;
  };
  FORMWORK_INLINE word_pairs pairs_at(std::uint64_t first, std::uint64_t high) const {
    lanes64 x[4];
    rounds<width>(x, first, high);
    return {x[0] | x[1] << 32, x[2] | x[3] << 32};
  }

  /// a[0], b[0], a[1], b[1], ... for lanes of 64 bits, to any address.
  template <class Lanes>
  FORMWORK_INLINE static void interleave(void* out, Lanes a, Lanes b) {
    auto* const bytes = static_cast<std::byte*>(out);
    if constexpr (width == 1) {
      std::memcpy(bytes, &a, 8), std::memcpy(bytes + 8, &b, 8);
    } else {
      [&]<int... l>(std::integer_sequence<int, l...>) {
        const auto low = __builtin_shufflevector(a, b, (l / 2 + l % 2 * width)...);
        const auto high = __builtin_shufflevector(a, b, (width / 2 + l / 2 + l % 2 * width)...);
        std::memcpy(bytes, &low, sizeof(low)), std::memcpy(bytes + sizeof(low), &high, sizeof(high));
      }(std::make_integer_sequence<int, width>{});
    }
  }

 private:
  template <int L>
  using lanes_of = typename vector_of<std::uint64_t, L>::type;

  /// Each word sits in a lane of 64 bits, whose upper half is ignored until the end.
  template <int L>
  FORMWORK_INLINE void rounds(lanes_of<L> (&x)[4], std::uint64_t low, std::uint64_t high) const {
    constexpr std::uint64_t lower = 0xffffffff;
    const auto at = [low]<int... l>(std::integer_sequence<int, l...>) {
      return lanes_of<L>{std::uint64_t(l)...} + low;
    }(std::make_integer_sequence<int, L>{});
    x[0] = at & lower, x[1] = at >> 32;
    x[2] = lanes_of<L>{} + (high & lower), x[3] = lanes_of<L>{} + (high >> 32);
    std::uint32_t k0 = std::uint32_t(key), k1 = std::uint32_t(key >> 32);
#pragma GCC unroll 10
    for (int round = 0; round < 10; ++round, k0 += 0x9e3779b9, k1 += 0xbb67ae85) {
      const lanes_of<L> a = product<L>(x[0], 0xd2511f53), b = product<L>(x[2], 0xcd9e8d57);
      x[0] = (b >> 32) ^ x[1] ^ std::uint64_t(k0);
      x[1] = b;
      x[2] = (a >> 32) ^ x[3] ^ std::uint64_t(k1);
      x[3] = a;
    }
    x[0] &= lower, x[1] &= lower, x[2] &= lower, x[3] &= lower;
  }

  /// The 64-bit products of the lower halves: one instruction of x86 that g++ 12 does not find.
  template <int L>
  FORMWORK_INLINE static lanes_of<L> product(lanes_of<L> x, std::uint32_t factor) {
#if defined(EIGEN_VECTORIZE_AVX512)
    if constexpr (L == 8) return lanes_of<L>(_mm512_maskz_mul_epu32(0xff, __m512i(x), _mm512_set1_epi64(factor)));
#endif
#if defined(EIGEN_VECTORIZE_AVX2)
    if constexpr (L == 4) return lanes_of<L>(_mm256_mul_epu32(__m256i(x), _mm256_set1_epi64x(factor)));
#endif
#if defined(EIGEN_VECTORIZE_SSE2)
    if constexpr (L == 2) return lanes_of<L>(_mm_mul_epu32(__m128i(x), _mm_set1_epi64x(factor)));
#endif
    return (x & 0xffffffff) * factor;
  }
};

/// A source of random numbers: Philox at a running counter. The same seed gives the same numbers on every machine's same
/// instruction set, for any number of threads; float numbers are the double ones, rounded.
///
/// Cost      one block for each number drawn alone; half a block for each number filled.
class rng {
 public:
  using result_type = std::uint64_t;

  /// All there is: saved in checkpoints as two integers.
  struct state {
    std::uint64_t key = 0, next = 0;
    friend bool operator==(const state&, const state&) = default;
  };

  /// Streams of one seed are independent.
  explicit rng(std::uint64_t seed = 0, std::uint64_t stream = 0) {
    const auto w = philox{seed}(stream, 0x666f726d776f726b);
    at_.key = joined(w[0], w[1]);
  }
  explicit rng(const state& at) : at_(at) {}

  state save() const { return at_; }
  void restore(const state& at) { at_ = at; }
  /// Another source, independent of this one; this one is not changed.
  rng split(std::uint64_t stream) const { return rng(at_.key, stream); }

  /// 64 random bits; rng is a uniform random bit generator of the standard library.
  std::uint64_t operator()() {
    const auto w = philox{at_.key}(at_.next++);
    return joined(w[0], w[1]);
  }
  static constexpr std::uint64_t min() { return 0; }
  static constexpr std::uint64_t max() { return std::numeric_limits<std::uint64_t>::max(); }

  /// Uniform in [0, 1), a multiple of 2^-52.
  double uniform() { return from_one_to_two(pack<double, 1>(), (*this)()).value - 1; }

  /// Normal with mean 0 and variance 1.
  double normal() {
    const auto w = philox{at_.key}(at_.next++);
    return normal_pair<1>(joined(w[0], w[1]), joined(w[2], w[3])).cos.value;
  }

  /// Uniform in 0 .. count - 1, every index equally likely.
  ///
  /// Throws    argument_error unless count > 0.
  Index below(Index count) {
    require(count > 0, "rng::below: count is ", count, "; needs > 0");
    const std::uint64_t n = std::uint64_t(count), mask = std::bit_ceil(n) - 1;
    for (;;)
      if (const std::uint64_t x = (*this)() & mask; x < n) return Index(x);
  }

  /// Every element uniform in [low, high).
  template <number S>
  void fill_uniform(view<S> out, double low, double high) {
    fill(out, [=](P a, P b, std::uint64_t, double* pair) {
      const P span(high - low);
      write(pair, fma(a - P(1), span, P(low)), fma(b - P(1), span, P(low)));
    });
  }
  template <number S>
  void fill_uniform(matrix<S>& out, double low, double high) {
    fill_uniform(out.all(), low, high);
  }

  /// Every element normal with mean 0 and the given standard deviation.
  template <number S>
  void fill_normal(view<S> out, double deviation) {
    fill(out, [=](P a, P b, std::uint64_t, double* pair) {
      const auto z = normal_pair(a, b);
      write(pair, P(deviation) * z.cos, P(deviation) * z.sin);
    });
  }
  template <number S>
  void fill_normal(matrix<S>& out, double deviation) {
    fill_normal(out.all(), deviation);
  }

  /// Every element from the normal distribution cut off at two of its deviations, scaled so that the deviation of the
  /// elements is the given one.
  ///
  /// Source    kexue.fm/archives/8620: the cut distribution has the variance 0.7737413.
  /// Differs   TensorFlow's truncated_normal does not scale: its deviation is 0.8796 of the one it is given.
  template <number S>
  void fill_truncated_normal(view<S> out, double deviation) {
    const double scale = deviation * 1.1368472343385565;
    const philox source{at_.key};
    fill(out, [=](P a, P b, std::uint64_t block, double* pair) {
      const auto z = normal_pair(a, b);
      write(pair, z.cos, z.sin);
      for (int i = 0; i < 2 * philox::width; ++i) {
        for (std::uint64_t attempt = 1; std::abs(pair[i]) > 2; ++attempt) {
          const auto w = source(block + std::uint64_t(i / 2), attempt);
          const auto again = normal_pair<1>(joined(w[0], w[1]), joined(w[2], w[3]));
          pair[i] = i % 2 ? again.sin.value : again.cos.value;
        }
        pair[i] *= scale;
      }
    });
  }
  template <number S>
  void fill_truncated_normal(matrix<S>& out, double deviation) {
    fill_truncated_normal(out.all(), deviation);
  }

 private:
  using P = pack<double>;

  static constexpr std::uint64_t joined(std::uint32_t low, std::uint32_t high) {
    return low | std::uint64_t(high) << 32;
  }

  /// 52 of the bits as a number in [1, 2).
  template <int N>
  static pack<double, N> from_one_to_two(pack<double, N>, words<pack<double, N>> bits) {
    constexpr std::uint64_t one = 0x3ff0000000000000;
    return from_words<pack<double, N>>((bits >> 12) | one);
  }

  /// Box and Muller: the radius from a, the angle from b, both uniform in [1, 2).
  template <int N>
  static sine_cosine<pack<double, N>> normal_pair(pack<double, N> a, pack<double, N> b) {
    using T = pack<double, N>;
    const T radius = sqrt(T(-2) * log(T(2) - a));
    const auto direction = sincos_small(T(6.283185307179586) * (b - T(1.5)));
    return {radius * direction.sin, radius * direction.cos};
  }
  template <int N>
  static sine_cosine<pack<double, N>> normal_pair(std::uint64_t a, std::uint64_t b) {
    return normal_pair(from_one_to_two(pack<double, N>(), a), from_one_to_two(pack<double, N>(), b));
  }

  FORMWORK_INLINE static void write(double* pair, P first, P second) {
    using vector = typename vector_of<double, P::size>::type;
    philox::interleave(pair, vector(first.value), vector(second.value));
  }

  /// Elements 2 b and 2 b + 1, counted along the rows, are made of block next + b; make(a, b, block, pair) turns uniform
  /// packs in [1, 2) of `width` blocks into their elements.
  template <number S, class Make>
  void fill(view<S> out, Make make) {
    constexpr Index chunk = 2048, step = 2 * philox::width;
    const Index size = out.size(), cols = out.cols();
    const philox source{at_.key};
    const std::uint64_t first = at_.next;
    parallel_for((size + chunk - 1) / chunk, [&](Index c) {
      alignas(64) double value[chunk];
      const Index begin = c * chunk, count = std::min(chunk, size - begin);
      for (Index e = 0; e < count; e += step) {
        const std::uint64_t block = first + std::uint64_t(begin + e) / 2;
        const auto [a, b] = source.pairs_at(block, 0);
        make(from_one_to_two(P(), a), from_one_to_two(P(), b), block, value + e);
      }
      for (Index e = 0, i = begin / cols, j = begin % cols; e < count; ++i, j = 0)
        for (; j < cols && e < count; ++j, ++e) out(i, j) = static_cast<S>(value[e]);
    });
    at_.next += std::uint64_t((size + 1) / 2);
  }

  state at_;
};

/// Which activations a dropout keeps: every element is kept with probability 1 - rate, by a random word that is a function
/// of the seed, the step, the module's stream, the sequence's id, the position and the column; so any batch, any split of
/// a sequence and any recomputation draws the same.
///
/// Throws    argument_error unless 0 <= rate < 1.
/// Source    Srivastava et al., JMLR 15 (2014); kept elements are scaled by 1/(1 - rate).
class dropout_mask {
 public:
  dropout_mask(std::uint64_t seed, std::uint64_t step, std::uint64_t stream, double rate) {
    require(rate >= 0 && rate < 1, "dropout: rate is ", rate, "; needs 0 <= rate < 1");
    const auto w = philox{seed}(step, stream);
    source_.key = w[2] | std::uint64_t(w[3]) << 32;
    threshold_ = static_cast<std::uint32_t>(rate * 4294967296.0);
    scale_ = 1 / (1 - rate);
  }

  bool keeps(Index sequence, Index position, Index column) const {
    const auto w = source_(counter(position, column), std::uint64_t(sequence));
    return w[std::size_t(column % 4)] >= threshold_;
  }

  /// factor[j] is 1/(1 - rate) where column j is kept, else 0.
  template <number S>
  void row(S* factor, Index columns, Index sequence, Index position) const {
    constexpr Index chunk = 256;
    const S scale = S(scale_);
    alignas(64) std::uint32_t word[chunk];
    for (Index j = 0; j < columns; j += chunk) {
      const Index count = std::min(chunk, columns - j);
      source_.fill(word, std::min(padded<float>(count + 3), chunk) / 4, counter(position, j), std::uint64_t(sequence));
      if constexpr (std::same_as<S, float>) {
        using P = pack<float>;
        for (Index i = 0; i < count; i += P::size) {
          words<P> w;
          std::memcpy(&w, word + i, sizeof(w));
          const auto dropped = static_cast<typename P::bits>(w < threshold_);
          select(dropped, P(0), P(scale)).store(factor + j + i, count - i);
        }
      } else {
        for (Index i = 0; i < count; ++i) factor[j + i] = word[i] < threshold_ ? S(0) : scale;
      }
    }
  }

 private:
  static std::uint64_t counter(Index position, Index column) {
    return std::uint64_t(position) << 32 | std::uint64_t(column / 4);
  }

  philox source_;
  std::uint32_t threshold_ = 0;
  double scale_ = 1;
};

}  // namespace formwork
