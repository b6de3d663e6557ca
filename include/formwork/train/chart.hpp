// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/error.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace formwork::inline FORMWORK_ABI {

/// Lines over a common axis, as CSV for machines and SVG for people.
///
/// Example   chart c{.title = "loss", .x = "step", .y = "nats per byte"};
///           c.add("training", step, loss);  save_text("loss.svg", c.svg());
struct chart {
  std::string title, x, y;
  /// Horizontal lines worth comparing with.
  std::vector<std::pair<std::string, double>> marks = {};

  struct line {
    std::string name;
    std::vector<std::pair<double, double>> points;
  };
  std::vector<line> lines = {};

  void add(const std::string& name, double at, double value) {
    const auto known = std::find_if(lines.begin(), lines.end(), [&](const line& l) { return l.name == name; });
    line& l = known == lines.end() ? lines.emplace_back(line{name, {}}) : *known;
    l.points.emplace_back(at, value);
  }

  /// One row a point: line,x,y; names with commas or quotes stand in quotes (RFC 4180).
  std::string csv() const {
    std::ostringstream out;
    out.precision(9);
    out << "line," << quoted(x) << "," << quoted(y) << "\n";
    for (const line& l : lines)
      for (const auto& [at, value] : l.points) out << quoted(l.name) << "," << at << "," << value << "\n";
    return out.str();
  }

  std::string svg() const {
    const range across = extent([](const auto& p) { return p.first; }, false);
    const range up = extent([](const auto& p) { return p.second; }, true);
    std::ostringstream out;
    out << "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " << width << " " << height
        << "\" font-family=\"sans-serif\" font-size=\"13\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n";
    label(out, width / 2, 24, "middle", title, "#222", 16);
    label(out, (left + right) / 2, height - 12, "middle", x);
    out << "<text transform=\"translate(18," << (top + bottom) / 2 << ") rotate(-90)\" text-anchor=\"middle\" fill=\"#444\">"
        << escaped(y) << "</text>\n";
    for (const double tick : ticks(up)) {
      const double at = place(tick, up, bottom, top);
      stroke(out, left, at, right, at, "#e4e4e4", "");
      label(out, left - 8, at + 4, "end", number(tick));
    }
    for (const double tick : ticks(across)) {
      const double at = place(tick, across, left, right);
      stroke(out, at, bottom, at, bottom + 5, "#888", "");
      label(out, at, bottom + 19, "middle", number(tick));
    }
    stroke(out, left, bottom, right, bottom, "#888", "");
    for (const auto& [name, value] : marks) {
      const double at = place(value, up, bottom, top);
      stroke(out, left, at, right, at, "#999", " stroke-dasharray=\"6 4\"");
      label(out, left + 6, at - 6, "start", name + " " + number(value));
    }
    const double names = rises(across) ? left + 10 : right - 150;
    for (std::size_t i = 0; i < lines.size(); ++i) {
      const char* colour = palette[i % std::size(palette)];
      out << "<polyline fill=\"none\" stroke=\"" << colour << "\" stroke-width=\"2\" points=\"";
      for (const auto& [at, value] : lines[i].points)
        if (std::isfinite(value)) out << place(at, across, left, right) << "," << place(value, up, bottom, top) << " ";
      out << "\"/>\n";
      const double y0 = top + 18 * static_cast<double>(i) + 6;
      stroke(out, names, y0, names + 28, y0, colour, " stroke-width=\"3\"");
      label(out, names + 36, y0 + 4, "start", lines[i].name);
    }
    out << "</svg>\n";
    return out.str();
  }

 private:
  struct range {
    double low, high;
  };
  static constexpr double width = 800, height = 460, left = 74, right = 776, top = 44, bottom = 404;
  static constexpr const char* palette[] = {"#1f6fb4", "#d1495b", "#3a8f5c", "#8a5fbf", "#c98a1b", "#4b5563"};

  template <class Of>
  range extent(Of of, bool with_marks) const {
    range r{std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity()};
    const auto take = [&](double v) {
      if (std::isfinite(v)) r = {std::min(r.low, v), std::max(r.high, v)};
    };
    for (const line& l : lines)
      for (const auto& p : l.points) take(of(p));
    if (with_marks)
      for (const auto& [name, value] : marks) take(value);
    if (!(r.low <= r.high)) r = {0, 1};
    if (r.low == r.high) r = {r.low - 0.5, r.high + 0.5};
    if (with_marks) r = {r.low - 0.05 * (r.high - r.low), r.high + 0.05 * (r.high - r.low)};
    return r;
  }
  /// Whether the lines are higher on the right: their names then stand on the left.
  bool rises(range across) const {
    double highest[2] = {-std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity()};
    for (const line& l : lines)
      for (const auto& [at, value] : l.points)
        if (double& half = highest[2 * at > across.low + across.high]; std::isfinite(value)) half = std::max(half, value);
    return highest[0] < highest[1];
  }
  static double place(double v, range r, double from, double to) { return from + (v - r.low) / (r.high - r.low) * (to - from); }
  static std::vector<double> ticks(range r) {
    const double raw = (r.high - r.low) / 6, magnitude = std::pow(10, std::floor(std::log10(raw)));
    double step = magnitude;
    for (const double factor : {2.0, 5.0, 10.0})
      if (step < raw) step = factor * magnitude;
    std::vector<double> all;
    for (double t = std::ceil(r.low / step) * step; t <= r.high + 1e-9 * step; t += step) all.push_back(std::abs(t) < 1e-9 * step ? 0 : t);
    return all;
  }
  static std::string number(double v) {
    char out[32];
    std::snprintf(out, sizeof out, "%.4g", v);
    return out;
  }
  static std::string quoted(const std::string& s) {
    if (s.find_first_of(",\"\n") == std::string::npos) return s;
    std::string r = "\"";
    for (const char c : s) r += c == '"' ? "\"\"" : std::string(1, c);
    return r + "\"";
  }
  static std::string escaped(const std::string& s) {
    std::string r;
    for (const char c : s) r += c == '<' ? "&lt;" : c == '>' ? "&gt;" : c == '&' ? "&amp;" : std::string(1, c);
    return r;
  }
  static void label(std::ostream& out, double at, double y, const char* anchor, const std::string& s, const char* colour = "#444",
                    int size = 13) {
    out << "<text x=\"" << at << "\" y=\"" << y << "\" text-anchor=\"" << anchor << "\" fill=\"" << colour << "\" font-size=\""
        << size << "\">" << escaped(s) << "</text>\n";
  }
  static void stroke(std::ostream& out, double x1, double y1, double x2, double y2, const char* colour, const char* more) {
    out << "<line x1=\"" << x1 << "\" y1=\"" << y1 << "\" x2=\"" << x2 << "\" y2=\"" << y2 << "\" stroke=\"" << colour << "\""
        << more << "/>\n";
  }
};

}  // namespace formwork
