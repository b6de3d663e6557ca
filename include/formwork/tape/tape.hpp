// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/kernel/transform.hpp>
#include <formwork/tape/observation.hpp>
#include <formwork/tape/var.hpp>

#include <cmath>
#include <concepts>
#include <cstdint>
#include <type_traits>
#include <utility>

namespace formwork::inline FORMWORK_ABI {

/// Whether a tape trains or infers.
enum class recording {
  on,  ///< training: ops are recorded for backward, dropout draws
  off  ///< inference: nothing is recorded, dropout is the identity
};

struct tape_options {
  recording mode = recording::on;
  std::uint64_t seed = 0;  ///< of everything random in a forward pass
  std::uint64_t step = 0;  ///< what random draws are keyed by beside the seed; backward() counts it up
};

/// Records fused ops as they run and walks them back. The recording is consumed by backward(): every buffer is given back
/// as soon as neither user code nor a recorded backward needs it.
///
/// Cost      no heap allocation once a step of the largest shape has run.
/// Throws    numeric_error from backward() where the loss is not finite.
template <number S>
class tape {
 public:
  tape() = default;
  tape(recording mode) : options_{.mode = mode} {}
  tape(tape_options options) : options_(options) {}
  tape(const tape&) = delete;
  tape& operator=(const tape&) = delete;
  ~tape() { clear(); }

  bool training() const { return options_.mode == recording::on; }
  /// False also inside checkpoint(), whose forward pass is recorded when it is recomputed.
  bool records() const { return training() && paused_ == 0; }
  std::uint64_t seed() const { return options_.seed; }
  std::uint64_t step() const { return options_.step; }
  void set_step(std::uint64_t step) { options_.step = step; }
  Index recorded() const { return static_cast<Index>(ops_.size()); }

  /// From now on, until unwatch(), every forward pass adds to `seen` what the observers of its layers see; outputs and gradients
  /// keep their bits. The list is the caller's, to be read, cleared and kept alive.
  ///
  /// Example   observations<float> seen;
  ///           tape.watch(seen);
  ///           model(tape, tokens);
  void watch(observations<S>& seen)
    requires real<S>
  {
    watched_ = &seen;
  }
  void unwatch() { watched_ = nullptr; }
  /// Where layers add what they observe; null where nobody watches.
  observations<S>* watched() const { return watched_; }

  /// An uninitialised value, to be written by an op.
  var<S> output(Index rows, Index cols, shared_sequences batch) {
    node<S>* n = node<S>::make();
    var<S> y(n);
    n->value = matrix<S>(rows, cols);
    n->rows = rows;
    n->cols = cols;
    n->batch = std::move(batch);
    n->owner = this;
    return y;
  }

  /// A value that nothing learns from.
  var<S> constant(matrix<S> value) { return leaf(std::move(value), nullptr, false); }
  var<S> constant(matrix<S> value, sequences batch) { return leaf(std::move(value), share(std::move(batch)), false); }
  /// A value whose gradient can be read after backward.
  var<S> input(matrix<S> value) { return leaf(std::move(value), nullptr, true); }
  var<S> input(matrix<S> value, sequences batch) { return leaf(std::move(value), share(std::move(batch)), true); }
  var<S> leaf(matrix<S> value, shared_sequences batch, bool tracked) {
    node<S>* n = node<S>::make();
    var<S> x(n);
    n->rows = value.rows();
    n->cols = value.cols();
    n->value = std::move(value);
    n->batch = batch ? std::move(batch) : share(sequences{n->rows});
    n->owner = this;
    n->tracked = tracked;
    return x;
  }

  /// Remembers how dL/dy becomes the gradients of y's sources. Called through record().
  template <class Backward>
  void push(const var<S>& y, Backward&& backward) {
    using closure = std::remove_cvref_t<Backward>;
    y.address()->tracked = true;
    void* memory = pool::instance().take(sizeof(closure));
    new (memory) closure(std::forward<Backward>(backward));
    ops_.push_back({gradient_of(y), memory,
                    [](void* c, matrix<S>& dy) { (*static_cast<closure*>(c))(dy); },
                    [](void* c) noexcept { static_cast<closure*>(c)->~closure(); }});
  }

  /// Adds dL/dθ to every parameter and input below the loss and consumes the recording. `weight` is dL/dloss: 1 / n for
  /// each of n micro-batches of equal size.
  void backward(const var<S>& loss, S weight = S(1)) {
    require(training(), "backward: the tape does not record; needs tape{{.mode = recording::on}}");
    if (!std::isfinite(value_of(loss.item()))) {
      clear();
      throw numeric_error(text("backward: the loss is ", value_of(loss.item()), "; lower the learning rate or look at the data"));
    }
    gradient_of(loss).add(matrix<S>(1, 1, weight));
    unwind(0);
    ++options_.step;
  }

  /// Runs and drops the ops recorded since there were `count` of them.
  void unwind(Index count) {
    while (recorded() > count) {
      op last = std::move(ops_.back());
      ops_.pop_back();
      gradient_slot<S>& slot = last.output.address()->gradient;
      if (slot.holds()) {
        matrix<S> dy = std::move(slot.sum);
        slot.next = start::fresh;
        slot.sum = matrix<S>();
        last.run(last.closure, dy);
      }
    }
  }

  /// Forgets the recording.
  void clear() {
    while (!ops_.empty()) ops_.pop_back();
  }

  /// While alive, ops run without being recorded.
  class pause {
   public:
    explicit pause(tape& t) : tape_(t) { ++tape_.paused_; }
    pause(const pause&) = delete;
    pause& operator=(const pause&) = delete;
    ~pause() { --tape_.paused_; }

   private:
    tape& tape_;
  };

  /// While alive, nothing is observed: what is computed again was seen before.
  class look_away {
   public:
    explicit look_away(tape& t) : tape_(t), watched_(std::exchange(t.watched_, nullptr)) {}
    look_away(const look_away&) = delete;
    look_away& operator=(const look_away&) = delete;
    ~look_away() { tape_.watched_ = watched_; }

   private:
    tape& tape_;
    observations<S>* watched_;
  };

 private:
  struct op {
    gradient_of_var<S> output;
    void* closure;
    void (*run)(void*, matrix<S>&);
    void (*destroy)(void*) noexcept;

    op(gradient_of_var<S> y, void* c, void (*r)(void*, matrix<S>&), void (*d)(void*) noexcept)
        : output(std::move(y)), closure(c), run(r), destroy(d) {}
    op(op&& other) noexcept
        : output(std::move(other.output)), closure(std::exchange(other.closure, nullptr)), run(other.run), destroy(other.destroy) {}
    op& operator=(op&&) = delete;
    ~op() {
      if (!closure) return;
      destroy(closure);
      pool::instance().give(closure);
    }
  };

  tape_options options_;
  int paused_ = 0;
  observations<S>* watched_ = nullptr;
  pooled_vector<op> ops_;
};

/// A backward pass: takes dL/dy, whose buffer it may keep, and adds to the gradients of its sources.
template <class F, class S>
concept backward_of = std::invocable<F&, matrix<S>&>;

/// Ends an op: y was computed from the sources, and `backward` adds dL/dy to their gradients. Recorded only where the tape
/// records and a source is tracked.
///
/// Example   var<S> twice(const var<S>& x) {
///             auto y = x.tape().output(x.rows(), x.cols(), x.shared_batch());
///             transform(y.write(), [](pack<S> v) { return v + v; }, x.value());
///             return record(y, [dx = gradient_of(x)](matrix<S>& dy) {
///               dx.add([&](view<S> g, start how) { contribute(g, how, [](pack<S> d) { return d + d; }, dy); });
///             }, x);
///           }
template <number S, class Backward, class... Source>
  requires backward_of<Backward, S>
var<S> record(var<S> y, Backward&& backward, const Source&... source) {
  if (y.tape().records() && (is_tracked(source) || ...)) y.tape().push(y, std::forward<Backward>(backward));
  return y;
}

/// A parameter as a value, for ops of one's own; its gradient goes to the parameter.
template <number S>
var<S> use(tape<S>& t, const parameter<S>& p) {
  auto y = t.leaf(matrix<S>(p.value()), nullptr, false);
  return record(
      y,
      [dp = gradient_of(p)](matrix<S>& dy) {
        dp.add([&](view<S> g, start how) { contribute<S>(g, how, dy); });
      },
      p);
}

}  // namespace formwork
