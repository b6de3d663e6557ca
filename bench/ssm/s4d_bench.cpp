// SPDX-License-Identifier: MIT
#include <formwork/ssm.hpp>
#include <formwork/tape.hpp>

#include <algorithm>
#include <cmath>
#include <complex>
#include <memory>
#include <numbers>
#include <vector>

#include "support/bench.hpp"

// A diagonal state space of 256 channels of 32 complex modes each on 4 sequences, discretisation and tables included in every
// call; tokens/s are the figure. Operations counted are those of the chunked form: its products, its Toeplitz part and the
// turns of the carries (kernel/scan_tables.hpp).

namespace fw = formwork;
using fw::Index;

namespace {

constexpr Index channels = 256, modes = 32, batch_size = 4;

fw::diagonal_numbers numbers() {
  fw::rng random{1};
  fw::diagonal_numbers s(fw::poles::conjugate_pairs, modes, channels);
  s.log_a_real.fill(std::log(0.5));
  for (Index n = 0; n < modes; ++n) std::fill_n(s.a_imag.row(n), channels, std::numbers::pi * static_cast<double>(n));
  for (fw::matrix<double>* m : {&s.c_real, &s.c_imag}) random.fill_normal(*m, std::sqrt(0.5));
  random.fill_uniform(s.log_step, std::log(1e-3), std::log(1e-1));
  random.fill_normal(s.d, 1.0);
  return s;
}

/// One call on random inputs.
struct system {
  fw::diagonal_numbers at = numbers();
  fw::sequences batch;
  fw::matrix<float> u, y, dy, du;

  system(Index length, bool learns)
      : batch(fw::sequences::equal(batch_size, length)), u(batch.rows(), channels), y(batch.rows(), channels),
        dy(learns ? batch.rows() : 0, channels), du(dy.rows(), channels) {
    fw::rng random{2};
    random.fill_normal(u, 1.0);
    random.fill_normal(dy, 1.0);
  }

  void forward() {
    const fw::scan_tables<float> tables(fw::diagonal_step(at, fw::zero_order_hold{}).modes());
    fw::scan_forward<float>(y, u, batch, tables);
  }

  void forward_backward() {
    const fw::diagonal_step step(at, fw::zero_order_hold{});
    const fw::scan_modes m = step.modes();
    const fw::scan_tables<float> tables(m);
    fw::matrix<float> kept(fw::scan_spans(batch), tables.groups() * tables.components() * fw::lanes<float>);
    fw::scan_forward<float>(y, u, batch, tables, kept.all());
    fw::scan_tables<float> sums(m.kind(), modes, channels);
    fw::scan_backward<float>(du, fw::start::fresh, dy, u, kept, batch, tables, &sums);
    fw::scan_modes dm(m.kind(), modes, channels);
    sums.gradient(dm, m);
    bench::keep(step.gradient(dm).log_step(0, 0));
  }
};

constexpr double chunk = fw::scan_chunk, carry = 2.0 * modes, turn = 2 * carry / chunk, toeplitz = (chunk + 1) / 2;
constexpr double forward_operations = 2 * (2 * carry + turn + toeplitz);
constexpr double backward_operations = 2 * (5 * carry + 3 * turn + 2 * toeplitz);

bench::work counted(Index length, double operations) {
  const auto tokens = static_cast<double>(batch_size * length);
  return {.flops = operations * tokens * static_cast<double>(channels), .tokens = tokens};
}

auto forward(Index length) {
  return [in = std::make_shared<system>(length, false)] { in->forward(); };
}
auto forward_backward(Index length) {
  return [in = std::make_shared<system>(length, true)] { in->forward_backward(); };
}

/// The recurrence on packs of channels: modes outside, so that a mode's numbers stay in registers for a stretch of tokens.
auto recurrence_forward(Index length) {
  return [in = std::make_shared<system>(length, false), length] {
    using P = fw::pack<float>;
    constexpr Index stretch = 64;
    const fw::scan_modes m = fw::diagonal_step(in->at, fw::zero_order_hold{}).modes();
    P x[2 * modes], u[stretch], y[stretch];
    float number[4][P::size];
    for (Index s = 0; s < batch_size; ++s)
      for (Index h = 0; h < channels; h += P::size) {
        std::fill_n(x, 2 * modes, P(0));
        for (Index at = s * length; at < (s + 1) * length; at += stretch) {
          for (Index i = 0; i < stretch; ++i) u[i] = P::load(in->u.row(at + i) + h), y[i] = P(0);
          for (Index n = 0; n < modes; n += 2) {
            P c[2][4];
            for (Index k = 0; k < 2; ++k) {
              for (Index l = 0; l < P::size; ++l) {
                number[0][l] = static_cast<float>(m.pole_re(n + k, h + l));
                number[1][l] = static_cast<float>(m.pole_im(n + k, h + l));
                number[2][l] = static_cast<float>(m.weight_re(n + k, h + l));
                number[3][l] = static_cast<float>(-m.weight_im(n + k, h + l));
              }
              for (int i = 0; i < 4; ++i) c[k][i] = P::load(number[i]);
            }
            P a = x[2 * n], b = x[2 * n + 1], d = x[2 * n + 2], e = x[2 * n + 3];
            for (Index i = 0; i < stretch; ++i) {
              const P re = fma(c[0][0], a, fma(-c[0][1], b, u[i])), re2 = fma(c[1][0], d, fma(-c[1][1], e, u[i]));
              b = fma(c[0][0], b, c[0][1] * a), e = fma(c[1][0], e, c[1][1] * d), a = re, d = re2;
              y[i] = fma(c[1][3], e, fma(c[1][2], d, fma(c[0][3], b, fma(c[0][2], a, y[i]))));
            }
            x[2 * n] = a, x[2 * n + 1] = b, x[2 * n + 2] = d, x[2 * n + 3] = e;
          }
          const P skip(1);
          for (Index i = 0; i < stretch; ++i) fma(skip, u[i], y[i]).store(in->y.row(at + i) + h);
        }
      }
  };
}

/// The recurrence as one writes it with Eigen: all modes of all channels of a token at once.
auto eigen_forward(Index length) {
  return [in = std::make_shared<system>(length, false), length] {
    const fw::scan_modes m = fw::diagonal_step(in->at, fw::zero_order_hold{}).modes();
    const auto complex = [](const fw::matrix<double>& re, const fw::matrix<double>& im) {
      using scalar = std::complex<float>;
      return (fw::eigen(re).cast<scalar>() + scalar(0, 1) * fw::eigen(im).cast<scalar>()).eval();
    };
    const auto pole = complex(m.pole_re, m.pole_im), weight = complex(m.weight_re, m.weight_im);
    auto x = pole;
    for (Index s = 0; s < batch_size; ++s) {
      x.setZero();
      for (Index i = s * length; i < (s + 1) * length; ++i) {
        const auto u = fw::eigen(in->u).row(i).cast<std::complex<float>>();
        x = (x.cwiseProduct(pole)).rowwise() + u;
        fw::eigen(in->y).row(i) = x.cwiseProduct(weight).real().colwise().sum() + in->at.d(0, 0) * fw::eigen(in->u).row(i);
      }
    }
  };
}

/// The textbook's loops.
auto naive_forward(Index length) {
  return [in = std::make_shared<system>(length, false), length] {
    const fw::scan_modes m = fw::diagonal_step(in->at, fw::zero_order_hold{}).modes();
    for (Index s = 0; s < batch_size; ++s)
      for (Index h = 0; h < channels; ++h) {
        float re[modes] = {}, im[modes] = {};
        for (Index i = s * length; i < (s + 1) * length; ++i) {
          const float u = in->u(i, h);
          float sum = static_cast<float>(m.skip(0, h)) * u;
          for (Index n = 0; n < modes; ++n) {
            const float p = static_cast<float>(m.pole_re(n, h)), q = static_cast<float>(m.pole_im(n, h)), a = re[n];
            re[n] = p * a - q * im[n] + u;
            im[n] = p * im[n] + q * a;
            sum += static_cast<float>(m.weight_re(n, h)) * re[n] - static_cast<float>(m.weight_im(n, h)) * im[n];
          }
          in->y(i, h) = sum;
        }
      }
  };
}

/// In place; `turns` are e^(-2πik/n) for k < n/2, conjugated for the way back.
void fft(std::vector<std::complex<float>>& a, const std::vector<std::complex<float>>& turns, bool back) {
  const std::size_t n = a.size();
  for (std::size_t i = 1, j = 0; i < n; ++i) {
    std::size_t bit = n >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j |= bit;
    if (i < j) std::swap(a[i], a[j]);
  }
  for (std::size_t half = 1; half < n; half *= 2)
    for (std::size_t i = 0; i < n; i += 2 * half)
      for (std::size_t k = 0; k < half; ++k) {
        const auto t = turns[k * (n / 2 / half)];
        const float re = t.real(), im = back ? -t.imag() : t.imag();
        const auto x = a[i + half + k];
        const std::complex<float> odd{re * x.real() - im * x.imag(), re * x.imag() + im * x.real()};
        a[i + half + k] = a[i + k] - odd;
        a[i + k] += odd;
      }
}

/// The kernel of each channel by powers, then a convolution by transforms of twice the length, two sequences in one.
auto fft_forward(Index length) {
  const auto n = static_cast<std::size_t>(2 * length);
  std::vector<std::complex<float>> turns(n / 2);
  for (std::size_t k = 0; k < n / 2; ++k)
    turns[k] = std::complex<float>(std::polar(1.0, -2 * std::numbers::pi * static_cast<double>(k) / static_cast<double>(n)));
  return [in = std::make_shared<system>(length, false), length, n, turns] {
    const fw::scan_modes m = fw::diagonal_step(in->at, fw::zero_order_hold{}).modes();
    std::vector<std::complex<float>> kernel(n), signal(n);
    for (Index h = 0; h < channels; ++h) {
      std::fill(kernel.begin(), kernel.end(), 0.f);
      for (Index k = 0; k < modes; ++k) {
        double re = m.weight_re(k, h), im = m.weight_im(k, h);
        for (Index l = 0; l < length; ++l) {
          kernel[static_cast<std::size_t>(l)] += static_cast<float>(re);
          const double next = re * m.pole_re(k, h) - im * m.pole_im(k, h);
          im = re * m.pole_im(k, h) + im * m.pole_re(k, h), re = next;
        }
      }
      kernel[0] += static_cast<float>(m.skip(0, h));
      fft(kernel, turns, false);
      for (Index s = 0; s < batch_size; s += 2) {
        std::fill(signal.begin(), signal.end(), 0.f);
        for (Index i = 0; i < length; ++i)
          signal[static_cast<std::size_t>(i)] = {in->u(s * length + i, h), in->u((s + 1) * length + i, h)};
        fft(signal, turns, false);
        for (std::size_t i = 0; i < n; ++i) signal[i] *= kernel[i] / static_cast<float>(n);
        fft(signal, turns, true);
        for (Index i = 0; i < length; ++i) {
          in->y(s * length + i, h) = signal[static_cast<std::size_t>(i)].real();
          in->y((s + 1) * length + i, h) = signal[static_cast<std::size_t>(i)].imag();
        }
      }
    }
  };
}

fw::s4d<float> make_layer() {
  fw::rng random{1};
  return fw::s4d<float>::make(fw::builder{.sizes = {.width = channels, .state_width = 2 * modes}, .random = random});
}

/// The whole layer, its gated output too.
auto layer_step(Index length) {
  return [layer = std::make_shared<fw::s4d<float>>(make_layer()), in = std::make_shared<system>(length, false)]() mutable {
    fw::tape<float> tape;
    const auto y = (*layer)(tape.input(fw::matrix<float>(in->u), in->batch));
    tape.backward(fw::sum(y));
  };
}
auto decode(Index before) {
  auto layer = std::make_shared<fw::s4d<float>>(make_layer());
  auto state = std::make_shared<fw::s4d<float>::state>(layer->make_state({.sequences = 1}));
  fw::tape<float> quiet{fw::recording::off};
  (void)(*layer)(quiet.constant(fw::matrix<float>(before, channels, 1.f)), *state);
  return [layer, state] {
    fw::tape<float> one{fw::recording::off};
    bench::keep((*layer)(one.constant(fw::matrix<float>(1, channels, 1.f)), *state).value()(0, 0));
  };
}

}  // namespace

void bench::rows() {
  for (const Index length : {1024, 4096, 16384, 65536}) {
    const std::string tail = "/h:256/n:64/b:4/l:" + std::to_string(length);
    const auto f = counted(length, forward_operations), both = counted(length, forward_operations + backward_operations);
    bench::row("s4d/forward" + tail, f, [=] { return forward(length); });
    bench::row("s4d/forward_backward" + tail, both, [=] { return forward_backward(length); });
    if (length == 4096) bench::row("two_threads/s4d/forward_backward" + tail, both, [=] { return forward_backward(length); });
    if (length > 4096) continue;
    const auto recurrence = counted(length, 12.0 * modes + 2);
    bench::row("recurrence/s4d/forward" + tail, recurrence, [=] { return recurrence_forward(length); });
    bench::row("fft/s4d/forward" + tail, {.tokens = f.tokens}, [=] { return fft_forward(length); });
    if (length > 1024) continue;
    bench::row("eigen/s4d/forward" + tail, recurrence, [=] { return eigen_forward(length); });
    bench::row("naive/s4d/forward" + tail, recurrence, [=] { return naive_forward(length); });
    bench::row("s4d/layer_forward_backward" + tail, {.tokens = f.tokens}, [=] { return layer_step(length); });
  }
  for (const Index before : {1, 100000})
    bench::row("s4d/decode/h:256/n:64/after:" + std::to_string(before), {.tokens = 1}, [=] { return decode(before); });
}
