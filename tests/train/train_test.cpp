// SPDX-License-Identifier: MIT
#include <formwork/train.hpp>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <string>

#include "support/catch.hpp"

namespace fw = formwork;
using fw::Index;

TEST_CASE("byte_text: a window's targets are its bytes one later, from the training part only") {
  std::string text;
  for (int i = 0; i < 200; ++i) text += char('0' + i % 10);
  text += std::string(50, 'x');
  const fw::byte_text data(text, 0.2);
  fw::rng random{1};
  const auto batch = data.draw(7, 11, random);
  REQUIRE(batch.input.ids.size() == 77);
  for (std::size_t i = 0; i < 77; ++i) {
    CHECK(batch.input.ids[i] != 'x');
    CHECK(batch.target[i] == '0' + (batch.input.ids[i] - '0' + 1) % 10);
  }
}

TEST_CASE("byte_text: held-out windows cover the held-out part once, and end") {
  const fw::byte_text data(std::string(90, 'a') + std::string(10, 'b') + std::string(11, 'c'), 0.1);
  fw::training_batch batch;
  Index rows = 0;
  for (Index first = 0; data.held_out_windows(first, 2, 3, batch); first += 2) rows += batch.input.batch.rows();
  CHECK(rows == 9);
}

TEST_CASE("byte_text: the bigram entropy of known texts") {
  CHECK(fw::byte_text(std::string(100, 'a'), 0).bigram_entropy() == 0);
  std::string alternating;
  for (int i = 0; i < 500; ++i) alternating += "ab";
  CHECK(fw::byte_text(alternating, 0).bigram_entropy() == Approx(0).margin(1e-12));
  // after a: b or c equally often; after b and c: always a
  std::string half;
  for (int i = 0; i < 1000; ++i) half += i % 2 ? "ab" : "ac";
  CHECK(fw::byte_text(half, 0).bigram_entropy() == Approx(std::log(2.0) / 2).epsilon(1e-3));
}

TEST_CASE("byte_text: a text shorter than a window is refused") {
  fw::rng random{1};
  CHECK_THROWS_AS(fw::byte_text("short", 0).draw(1, 5, random), fw::argument_error);
}

TEST_CASE("chart: every point is in the table, and the picture names every line") {
  fw::chart c{.title = "a < b", .x = "step", .y = "loss", .marks = {{"limit", 2.5}}};
  c.add("training", 1, 3.25);
  c.add("training", 2, 2.75);
  c.add("validation", 2, 3);
  CHECK(c.csv() == "line,step,loss\ntraining,1,3.25\ntraining,2,2.75\nvalidation,2,3\n");
  fw::chart odd{.title = "", .x = "step, from 0", .y = "loss"};
  odd.add("the \"old\" one", 1, 2);
  CHECK(odd.csv() == "line,\"step, from 0\",loss\n\"the \"\"old\"\" one\",1,2\n");
  const std::string svg = c.svg();
  CHECK(svg.find("a &lt; b") != std::string::npos);
  CHECK(svg.find(">validation<") != std::string::npos);
  CHECK(svg.find("limit 2.5") != std::string::npos);
  CHECK(svg.find("nan") == std::string::npos);
  CHECK(fw::chart{}.svg().find("</svg>") != std::string::npos);
}

TEST_CASE("chart: the names of the lines stand on the side where the lines are lower") {
  const auto name_at = [](double first, double last) {
    fw::chart c;
    c.add("line", 1, first);
    c.add("line", 2, last);
    const std::string svg = c.svg(), before = svg.substr(0, svg.find(">line<"));
    return std::stod(before.substr(before.rfind("<text x=\"") + 9));
  };
  CHECK(name_at(1, 3) < 400);
  CHECK(name_at(3, 1) > 400);
}

TEST_CASE("interrupt: a signal sets the flag, and only while it is watched") {
  {
    const fw::interrupt watch;
    CHECK_FALSE(fw::interrupt::requested());
    std::raise(SIGINT);
    CHECK(fw::interrupt::requested());
  }
  const fw::interrupt again;
  CHECK_FALSE(fw::interrupt::requested());
}

TEST_CASE("the peak of one thread is at least a lane a nanosecond, however busy the machine") {
  CHECK(std::max(fw::fma_peak_of_one_thread<float>(), fw::fma_peak_of_one_thread<float>()) > 1e9);
}
