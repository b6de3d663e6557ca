// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/error.hpp>
#include <formwork/io/file.hpp>

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

/// What every example does at its edges: options, errors, reading texts.
namespace support {

/// Bad input: one line on standard error, exit code 2.
inline constexpr int bad_input = 2;

/// Parses, then runs the program; every error becomes one clear line.
template <class Program>
int run(CLI::App& app, int argc, char** argv, Program program) {
  const auto complain = [&](const std::string& message) {
    std::string line = message.substr(0, message.find('\n'));
    std::fprintf(stderr, "%s: %s\n", std::filesystem::path(argv[0]).filename().c_str(), line.c_str());
    return bad_input;
  };
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == 0) return app.exit(e);
    return complain(std::string(e.what()) + " (--help lists the options)");
  }
  try {
    return program();
  } catch (const formwork::error& e) {
    return complain(e.what());
  } catch (const std::bad_alloc&) {
    return complain("out of memory; needs smaller sizes or a smaller batch");
  }
}

/// The texts of several files, one after another.
inline std::string read_texts(const std::vector<std::string>& paths) {
  std::string all;
  for (const std::string& path : paths) all += formwork::read_text(path);
  return all;
}

/// The project's own headers and README, in a fixed order: a text that is always there.
inline std::string own_sources() {
  namespace fs = std::filesystem;
  const fs::path root = FORMWORK_SOURCE_DIR;
  std::vector<std::string> paths;
  for (const auto& entry : fs::recursive_directory_iterator(root / "include"))
    if (entry.path().extension() == ".hpp") paths.push_back(entry.path().string());
  std::sort(paths.begin(), paths.end());
  paths.push_back((root / "README.md").string());
  return read_texts(paths);
}

/// FNV-1a: tells one text from another.
inline std::uint64_t hash_of(std::string_view text) {
  std::uint64_t h = 14695981039346656037u;
  for (const char c : text) h = (h ^ static_cast<unsigned char>(c)) * 1099511628211u;
  return h;
}

inline std::string rounded(double x, int digits) {
  char out[64];
  std::snprintf(out, sizeof out, "%.*f", digits, x);
  return out;
}

}  // namespace support
