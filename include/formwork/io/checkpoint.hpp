// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/io/composition.hpp>
#include <formwork/io/safetensors.hpp>
#include <formwork/io/values.hpp>
#include <formwork/layer/embedding.hpp>
#include <formwork/tape/fields.hpp>
#include <formwork/tape/tape.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace formwork::inline FORMWORK_ABI {

// A model is one safetensors file: a tensor for each parameter under its path, "layers.0.mixer.query.weight", as (in × out);
// gains and biases as vectors. Everything else has names that start with "formwork.":
//   formwork.composition, .abi, .compiler, .format   metadata: what the model is, and what saved it
//   formwork.self_test.*                             a few tokens and the scores they must give
//   formwork.optimizer.*, formwork.state.*           only in checkpoints: what training needs to continue

enum class verdict { refuse, ignore };
enum class weight_layout { in_by_out, out_by_in };

/// How load_model takes a file. By default everything must match.
struct load_options {
  /// Which tensor holds a parameter, given its path; by default the one of that name.
  std::function<std::string(const std::string& path)> name = {};
  /// out_by_in transposes the parameters that multiply activations (roles matrix and head), as PyTorch's Linear has them.
  weight_layout weights = weight_layout::in_by_out;
  verdict other_composition = verdict::refuse;
  verdict unused_tensors = verdict::refuse;
};

inline std::string compiler_text() {
  return text(__VERSION__, ", Eigen ", EIGEN_WORLD_VERSION, ".", EIGEN_MAJOR_VERSION, ".", EIGEN_MINOR_VERSION);
}

/// A model that maps a source and a target to scores; its self-test gives it one text as both.
template <class M>
concept answers_source = requires(const M& m, tape<typename M::scalar>& t, const tokens& x) { m(t, x, x).value(); };
/// A model that maps tokens, or two texts, to scores or hidden rows, and can therefore test itself after loading.
template <class M>
concept answers_tokens = has_sizes<M> && (answers_source<M> || requires(const M& m, tape<typename M::scalar>& t, const tokens& x) {
  m(t, x).value();
});

/// What the self-test records: the scores after the last token of each sequence, or all rows where there is no last().
template <answers_tokens Model>
auto answer(const Model& model, const tokens& x) {
  using S = typename Model::scalar;
  tape<S> quiet{recording::off};
  const auto y = [&] {
    if constexpr (answers_source<Model>)
      return model(quiet, x, x);
    else
      return model(quiet, x);
  }();
  if constexpr (requires { y.last(); })
    return y.last();
  else
    return matrix<S>(view<const S>(y.value()));
}

/// New numbers for existing ones, all exchanged at once and, by a second call, back again.
class staged_numbers {
 public:
  template <real S>
  void add(view<S> target, matrix<S> numbers) {
    auto kept = std::make_shared<matrix<S>>(std::move(numbers));
    const auto bytes = static_cast<std::size_t>(kept->size()) * sizeof(S);
    pieces_.push_back(
        {reinterpret_cast<std::byte*>(target.data()), reinterpret_cast<std::byte*>(kept->data()), bytes, kept});
  }
  void exchange() const {
    for (const piece& one : pieces_) std::swap_ranges(one.target, one.target + one.bytes, one.fresh);
  }

 private:
  struct piece {
    std::byte *target, *fresh;
    std::size_t bytes;
    std::shared_ptr<void> kept;
  };
  std::vector<piece> pieces_;
};

template <class Model>
void add_model(safetensors_writer& out, const Model& model) {
  for_each_named_parameter(model, [&](const std::string& path, const auto& p) {
    require(path.rfind("formwork.", 0) != 0, "save_model: a parameter is named ", path,
            "; needs a name without \"formwork.\"");
    const bool vector = p.rows() == 1 && (p.kind() == role::gain || p.kind() == role::bias);
    const std::string name = path.empty() ? "value" : path;
    vector ? out.add(name, p.value(), {p.cols()}) : out.add(name, p.value());
  });
  out.metadata("formwork.format", "1");
  out.metadata("formwork.composition", composition_of(model));
  out.metadata("formwork.abi", abi_tag);
  out.metadata("formwork.compiler", compiler_text());
  if constexpr (answers_tokens<Model>) {
    if (model.sizes.vocab <= 0) return;
    const std::vector<Index> lengths{11, 1, 6};
    std::vector<Index> ids;
    const Index source = model.sizes.source_vocab, vocab = source > 0 ? std::min(source, model.sizes.vocab) : model.sizes.vocab;
    for (Index i = 0; i < 18; ++i) ids.push_back((31 * i * i + 7 * i + 3) % vocab);
    out.add("formwork.self_test.output", answer(model, tokens(ids, sequences(lengths))));
    out.add("formwork.self_test.tokens", std::vector<std::int64_t>(ids.begin(), ids.end()));
    out.add("formwork.self_test.lengths", std::vector<std::int64_t>(lengths.begin(), lengths.end()));
  }
}

inline void require_composition(const safetensors_file& file, const std::string& ours, verdict other) {
  const auto& metadata = file.metadata();
  const auto format = metadata.find("formwork.format"), theirs = metadata.find("formwork.composition");
  file.site().needs((format == metadata.end()) == (theirs == metadata.end()),
                    "is damaged: it has only one of formwork.format and formwork.composition; needs both or none");
  file.site().needs(format == metadata.end() || format->second == "1", "has format \"",
                    one_line(format == metadata.end() ? "" : format->second),
                    "\"; needs 1: it was saved by a newer formwork");
  if (other == verdict::ignore || theirs == metadata.end() || theirs->second == ours) return;
  file.site().fail("is another model: ", one_line(composition_difference(theirs->second, ours), 300),
                   "; it was saved by ", one_line(theirs->second, 600));
}

/// Reads a model's parameters beside the model, after checking that the file has exactly them.
template <class Model>
staged_numbers stage_model(const safetensors_file& file, Model& model, const load_options& options) {
  std::vector<std::function<void(staged_numbers&)>> read;
  std::set<std::string> used;
  for_each_named_parameter(model, [&](const std::string& path, auto& p) {
    using S = typename std::remove_cvref_t<decltype(p)>::scalar;
    const std::string own = path.empty() ? "value" : path, name = options.name ? options.name(own) : own;
    const auto& site = file.site();
    const std::string label =
        name == own ? "\"" + one_line(name) + "\"" : text("\"", one_line(name), "\" for ", one_line(own));
    site.needs(file.contains(name), "has no tensor ", label, "; needs every parameter of the model");
    const tensor_entry& one = file.entry(name);
    const bool turned =
        options.weights == weight_layout::out_by_in && (p.kind() == role::matrix || p.kind() == role::head);
    const Index rows = turned ? p.cols() : p.rows(), cols = turned ? p.rows() : p.cols();
    site.needs(!is_whole(one.type), "tensor ", label, " is ", name_of(one.type), "; needs F64, F32, F16 or BF16");
    site.needs(one.rows() == rows && one.cols() == cols, "tensor ", label, " is ", shape_text(one.shape), "; needs ",
               shape_text(std::vector<Index>{rows, cols}), turned ? " (out × in)" : "");
    used.insert(name);
    read.push_back([&file, &p, name, turned](staged_numbers& staged) {
      matrix<S> numbers = file.read<S>(name);
      if (turned) {
        matrix<S> whole(p.rows(), p.cols());
        for (Index i = 0; i < p.rows(); ++i)
          for (Index j = 0; j < p.cols(); ++j) whole(i, j) = numbers(j, i);
        numbers = std::move(whole);
      }
      staged.add(p.value(), std::move(numbers));
    });
  });
  const auto is_ours = [](const std::string& name) {
    constexpr std::array<std::string_view, 3> exact{"formwork.self_test.output", "formwork.self_test.tokens",
                                                    "formwork.self_test.lengths"};
    return std::find(exact.begin(), exact.end(), name) != exact.end() || name.starts_with("formwork.optimizer") ||
           name.starts_with("formwork.state");
  };
  for (const tensor_entry& one : file.entries())
    file.site().needs(options.unused_tensors == verdict::ignore || used.count(one.name) > 0 || is_ours(one.name),
                      "has a tensor \"", one_line(one.name), "\" that the model has no parameter for");
  staged_numbers staged;
  for (const auto& one : read) one(staged);
  return staged;
}

/// The recorded tokens must give the recorded scores: bit for bit where the same build saved them, else to 1e-4 of the largest.
template <class Model>
void require_self_test(const safetensors_file& file, const Model& model) {
  if constexpr (answers_tokens<Model>) {
    if (!file.contains("formwork.self_test.output")) return;
    using S = typename Model::scalar;
    const auto& site = file.site();
    const Index count = file.entry("formwork.self_test.tokens").count();
    site.needs(count <= 1024, "its self-test has ", count, " tokens; needs at most 1024");  // what it may cost
    const auto ids = file.read_integers<Index>("formwork.self_test.tokens");
    const auto lengths = file.read_integers<Index>("formwork.self_test.lengths");
    const matrix<S> recorded = file.read<S>("formwork.self_test.output");
    matrix<S> got;
    try {
      got = answer(model, tokens(ids, sequences(lengths)));
    } catch (const argument_error& e) {
      site.fail("its self-test cannot be run: ", e.what());
    }
    site.needs(got.rows() == recorded.rows() && got.cols() == recorded.cols(), "its self-test gives ", shape_text(got),
               " scores; needs the recorded ", shape_text(recorded));
    const auto is = [&](const char* key, std::string_view value) {
      const auto found = file.metadata().find(key);
      return found != file.metadata().end() && found->second == value;
    };
    const bool same_build = is("formwork.abi", abi_tag) && is("formwork.compiler", compiler_text()) &&
                            file.entry("formwork.self_test.output").type == dtype_of<S>;
    double largest = 0;
    for (Index i = 0; i < recorded.size(); ++i)
      if (std::isfinite(recorded.data()[i]))
        largest = std::max(largest, std::abs(static_cast<double>(recorded.data()[i])));
    for (Index i = 0; i < recorded.size(); ++i) {
      const S a = got.data()[i], b = recorded.data()[i];
      const bool equal = std::memcmp(&a, &b, sizeof(S)) == 0 || (std::isnan(a) && std::isnan(b));
      const bool near = a == b || std::abs(static_cast<double>(a) - static_cast<double>(b)) <= 1e-4 * largest;
      site.needs(equal || (near && !same_build), "fails its self-test: score ", i % recorded.cols(), " of sequence ",
                 i / recorded.cols(), " is ", a, " but ", b,
                 " was recorded; the model's values differ from those that saved it (",
                 same_build ? "bit for bit" : "to 1e-4", "), or the file is damaged");
    }
  }
}

/// Saves a model, atomically.
///
/// Throws    file_error; an old file of that name is then as it was.
template <class Model>
void save_model(const std::string& path, const Model& model) {
  safetensors_writer out;
  add_model(out, model);
  out.save(path, "save_model");
}

/// Loads a model's parameters into a model of the same composition and sizes, and verifies the self-test. Checkpoints are taken
/// as well. Files without the names that start with "formwork." (of other programs) are taken by names and shapes alone.
///
/// Throws    file_error; the model is then as it was.
template <class Model>
void load_model(const safetensors_file& file, Model& model, const load_options& options = {}) {
  require_composition(file, composition_of(model), options.other_composition);
  const staged_numbers staged = stage_model(file, model, options);
  staged.exchange();
  try {
    require_self_test(file, std::as_const(model));
  } catch (...) {
    staged.exchange();
    throw;
  }
}
template <class Model>
void load_model(const std::string& path, Model& model, const load_options& options = {}) {
  load_model(safetensors_file::read(path, "load_model"), model, options);
}

/// Saves all that training needs to continue with equal bits: model, optimizer and `state`, the run's own values (values.hpp).
///
/// Throws    file_error; an old file of that name is then as it was.
template <class Model, class Optimizer, class State>
void save_checkpoint(const std::string& path, Model& model, Optimizer& optimizer, const State& state) {
  safetensors_writer out;
  add_model(out, std::as_const(model));
  optimizer.prepare(model);
  add_value(out, "formwork.optimizer_steps", static_cast<std::int64_t>(optimizer.steps()));
  optimizer.for_each_state(
      [&](const std::string& name, const auto& m) { out.add("formwork.optimizer." + name, m); },
      [&](const std::string& name, const Index& n) { add_value(out, "formwork.optimizer." + name, n); });
  add_value(out, "formwork.state", state);
  out.save(path, "save_checkpoint");
}

inline void require_checkpoint(const safetensors_file& file) {
  file.site().needs(file.contains("formwork.optimizer_steps"),
                    "is no checkpoint of a training run; needs a file of save_checkpoint");
}

/// Reads only the run's own values: what the model is to be made from, before load_checkpoint.
///
/// Throws    file_error; the state is then as it was.
template <class State>
void load_state(const safetensors_file& file, State& state) {
  require_checkpoint(file);
  std::vector<std::function<void()>> then;
  read_value(file, "formwork.state", state, then);
  for (const auto& assign : then) assign();
}
template <class State>
void load_state(const std::string& path, State& state) {
  load_state(safetensors_file::read(path, "load_state"), state);
}

/// Loads what save_checkpoint saved into a model, an optimizer and a state of the same kind.
///
/// Throws    file_error; all three are then as they were.
template <class Model, class Optimizer, class State>
void load_checkpoint(const safetensors_file& file, Model& model, Optimizer& optimizer, State& state) {
  require_checkpoint(file);
  require_composition(file, composition_of(model), verdict::refuse);
  std::vector<std::function<void()>> then;
  staged_numbers staged = stage_model(file, model, {});
  std::set<std::string> used;
  optimizer.prepare(model);
  optimizer.for_each_state(
      [&]<class S>(const std::string& name, matrix<S>& m) {
        const tensor_entry& one = file.entry(*used.insert("formwork.optimizer." + name).first);
        file.site().needs(one.rows() == m.rows() && one.cols() == m.cols() && one.type == dtype_of<S>, "tensor \"",
                          one_line(one.name), "\" is ", name_of(one.type), " ", shape_text(one.shape), "; needs ",
                          name_of(dtype_of<S>), " ", shape_text(m));
        staged.add(m.all(), file.read<S>(one.name));
      },
      [&](const std::string& name, Index& n) {
        read_value(file, *used.insert("formwork.optimizer." + name).first, n, then);
      });
  for (const tensor_entry& one : file.entries())
    file.site().needs(one.name.rfind("formwork.optimizer.", 0) != 0 || used.count(one.name) > 0, "has a tensor \"",
                      one_line(one.name), "\" that the optimizer has no use for; needs the update rules that saved it");
  Index steps = 0;
  read_value(file, "formwork.optimizer_steps", steps, then);
  read_value(file, "formwork.state", state, then);
  staged.exchange();
  try {
    require_self_test(file, std::as_const(model));
  } catch (...) {
    staged.exchange();
    throw;
  }
  for (const auto& assign : then) assign();
  optimizer.set_steps(steps);
}
template <class Model, class Optimizer, class State>
void load_checkpoint(const std::string& path, Model& model, Optimizer& optimizer, State& state) {
  load_checkpoint(safetensors_file::read(path, "load_checkpoint"), model, optimizer, state);
}

}  // namespace formwork
