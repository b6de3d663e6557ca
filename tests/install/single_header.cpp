// SPDX-License-Identifier: MIT
// An attention layer forward and backward, every bit of which is told: its loss on the output, its gradients in a file.
#ifdef SINGLE
#include <formwork.hpp>
#else
#include <formwork/formwork.hpp>
#include <formwork/io.hpp>
#endif

#include <cstdio>

namespace fw = formwork;

int main() {
  fw::rng random{7};
  const auto layer = fw::attention<float, fw::causal, fw::rope<>, fw::log_n>::make(
      fw::builder{.sizes = {.width = 16, .heads = 2}, .random = random});
  fw::matrix<float> x(32, 16);
  random.fill_normal(x, 1);
  fw::tape<float> tape;
  const auto y = layer(tape.constant(x, fw::sequences{20, 12}));
  const auto loss = fw::sum(fw::multiply(y, y));
  std::printf("%s %a\n", fw::abi_tag, static_cast<double>(loss.item()));
  tape.backward(loss);

  fw::safetensors_writer file;
  fw::for_each_named_parameter(layer, [&](const std::string& path, const auto& p) { file.add(path, p.gradient()); });
  file.save("gradients.safetensors");
}
