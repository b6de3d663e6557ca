// SPDX-License-Identifier: MIT
// What a stranger's file may cost: memory in proportion to its own size, whatever it claims; and paths that are no files.
#include <formwork/io/safetensors.hpp>

#include "io/scratch_folder.hpp"
#include "support/catch.hpp"

#include <malloc.h>
#include <sys/stat.h>

#include <atomic>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <cstring>

namespace {
std::atomic<long> heap{0}, peak{0};

void* taken(void* block) {
  const long now = heap += static_cast<long>(::malloc_usable_size(block));
  for (long most = peak; now > most && !peak.compare_exchange_weak(most, now);) continue;
  return block;
}
void given_back(void* block) { heap -= static_cast<long>(::malloc_usable_size(block)); }
}  // namespace

// Every way to the heap goes through these in a program linked with glibc; operator new calls malloc.
extern "C" {
void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);
void __libc_free(void*);
void* malloc(std::size_t n) { return taken(__libc_malloc(n)); }
void* calloc(std::size_t n, std::size_t m) { return taken(__libc_calloc(n, m)); }
void* realloc(void* p, std::size_t n) { return given_back(p), taken(__libc_realloc(p, n)); }
void* aligned_alloc(std::size_t a, std::size_t n) { return taken(__libc_memalign(a, n)); }
int posix_memalign(void** p, std::size_t a, std::size_t n) {
  *p = taken(__libc_memalign(a, n));
  return *p ? 0 : 12;
}
void free(void* p) { given_back(p), __libc_free(p); }
}

namespace fw = formwork;
namespace fs = std::filesystem;
using fw::Index;

namespace {

std::string file_bytes(std::string json, const std::string& data = "") {
  const auto length = static_cast<std::uint64_t>(json.size());
  json.insert(0, reinterpret_cast<const char*>(&length), 8);
  return json + data;
}

std::string repeated(int count, const std::function<std::string(int)>& part) {
  std::string all;
  for (int i = 0; i < count; ++i) all += part(i);
  return all;
}

/// The most heap that a call has at one time.
template <class F>
long heap_of(F&& f) {
  const long before = heap;
  peak = before;
  f();
  return peak - before;
}

/// Opens it; says whether it was taken.
bool is_taken(const std::string& bytes) {
  try {
    (void)fw::safetensors_file::of(std::as_bytes(std::span(bytes)));
    return true;
  } catch (const fw::file_error&) {
    return false;
  }
}

}  // namespace

TEST_CASE("the counter sees the heap") {
  CHECK(heap_of([] { std::vector<char>(1'000'000); }) >= 1'000'000);
  CHECK(heap_of([] { std::vector<char>(1'000'000), std::vector<char>(1'000'000); }) < 3'000'000);
}

TEST_CASE("Opening a file takes at most 16 times its size, whatever it claims") {
  const std::string tensor = R"({"dtype":"U8","shape":[0],"data_offsets":[0,0]})", ones(100'000, '1');
  const auto quoted = [](int i) { return "\"" + std::to_string(i) + "\""; };
  const auto within = [](const std::string& what, bool good, const std::string& bytes) {
    bool was_taken = false;
    const long most = heap_of([&] { was_taken = is_taken(bytes); });
    CAPTURE(what, bytes.size(), most, double(most) / double(bytes.size()));
    CHECK(was_taken == good);
    CHECK(most <= 16 * static_cast<long>(bytes.size()) + 16'384);  // and an error's text
  };
  const auto header = [&](const std::string& what, bool good, const std::string& json) {
    within(what, good, file_bytes(json));
  };
  const auto nested = [&](const std::string& start, const std::string& level) {
    header(start + level + level + " ...", false, start + repeated(100'000, [&](int) { return level; }));
  };
  header("nothing", true, "{}");
  header("many tensors", true,
         "{" + repeated(30'000, [&](int i) { return (i ? "," : "") + quoted(i) + ":" + tensor; }) + "}");
  header("many tensors of many dimensions", true, "{" + repeated(3'000, [&](int i) {
                                                    return (i ? "," : "") + quoted(i) + R"(:{"dtype":"U8","shape":[0)" +
                                                           repeated(31, [](int) { return ",0"; }) +
                                                           R"(],"data_offsets":[0,0]})";
                                                  }) + "}");
  header("much metadata", true,
         "{\"__metadata__\":{" + repeated(100'000, [&](int i) { return (i ? "," : "") + quoted(i) + ":\"\""; }) + "}}");
  header("a tensor a hundred thousand times", false,
         "{" + repeated(100'000, [&](int i) { return (i ? ",\"x\":" : "\"x\":") + tensor; }) + "}");
  header("a metadata key a hundred thousand times", false,
         "{\"__metadata__\":{" + repeated(100'000, [](int i) { return i ? ",\"x\":\"\"" : "\"x\":\"\""; }) + "}}");
  for (const std::string& unit :
       {std::string("n"), std::string("é"), std::string("\\n"), std::string("\\u00e9"), std::string("\x7f")}) {
    const std::string endless = "\"" + repeated(200'000, [&](int) { return unit; }) + "\"";
    header("a name of many " + unit, true, "{" + endless + ":" + tensor + "}");
    header("an unfinished name of many " + unit, false, "{" + endless.substr(0, endless.size() - 1));
    header("a metadata key of many " + unit, true, "{\"__metadata__\":{" + endless + ":\"\"}}");
    header("a metadata value of many " + unit, true, "{\"__metadata__\":{\"k\":" + endless + "}}");
    header("a tensor's key of many " + unit, false, "{\"x\":{" + endless + ":0}}");
    header("a type of many " + unit, false, "{\"x\":{\"dtype\":" + endless + "}}");
    header("a name that is a number, of many " + unit, false, "{" + endless + ":1}");
  }
  for (const char* start : {"", "{\"x\":", "{\"__metadata__\":", "{\"__metadata__\":{\"x\":", R"({"x":{"dtype":)",
                            R"({"x":{"shape":)", R"({"x":{"shape":[)"})
    for (const char* level : {"[", "{", "{\"x\":", "[0,"}) nested(start, level);
  for (const std::string& number : {ones, "-" + ones, "1." + ones, "1e" + ones, "0." + std::string(100'000, '0') + "1"})
    header("a size of many digits", false, R"({"x":{"dtype":"U8","shape":[)" + number + R"(],"data_offsets":[0,0]}})");
  header("many sizes", false, R"({"x":{"dtype":"U8","shape":[0)" + repeated(100'000, [](int) { return ",0"; }) + "]}}");
  header("much space", true, "{" + std::string(500'000, ' ') + "}");
  for (const char* shape : {"[1000000000]", "[4294967295,4294967295]", "[9223372036854775807]",
                            "[1152921504606846976,16]", "[0,9223372036854775807,9223372036854775807]"})
    for (const auto& row : fw::dtype_table)
      header(std::string(row.name) + shape, false,
             "{\"x\":{\"dtype\":\"" + std::string(row.name) + "\",\"shape\":" + shape +
                 ",\"data_offsets\":[0,1000000000]}}");
  for (const std::uint64_t length : {std::uint64_t(100), std::uint64_t(100'000'000), std::uint64_t(1) << 40,
                                     ~std::uint64_t(0), ~std::uint64_t(0) - 7}) {
    std::string bytes = file_bytes("{}");
    std::memcpy(bytes.data(), &length, 8);
    within("a header of " + std::to_string(length) + " bytes", false, bytes);
  }
}

TEST_CASE("Reading a tensor takes at most 9 times its size in the file") {
  const std::string data(400'000, '\1');
  for (const auto& row : fw::dtype_table) {
    const auto count = static_cast<Index>(data.size()) / row.bytes;
    const std::string bytes = file_bytes(fw::text(R"({"x":{"dtype":")", row.name, R"(","shape":[)", count,
                                                  R"(],"data_offsets":[0,)", data.size(), "]}}"),
                                         data);
    const auto file = fw::safetensors_file::of(std::as_bytes(std::span(bytes)));
    CAPTURE(row.name);
    CHECK(heap_of([&] { (void)file.read<double>("x"); }) <= 9 * 400'000);
    CHECK(heap_of([&] { (void)file.read<float>("x"); }) <= 9 * 400'000);
    if (fw::is_whole(row.type)) CHECK(heap_of([&] { (void)file.read_integers<std::int64_t>("x"); }) <= 9 * 400'000);
  }
}

TEST_CASE("Bytes in memory are the same file as on the disk, and errors name them as they were named") {
  const scratch_folder folder;
  fw::safetensors_writer out;
  out.add("x", std::vector<float>{1, 2, 3});
  out.metadata("k", "v");
  out.save(folder.path("out"));
  const std::string bytes = folder.content("out");
  const auto file = fw::safetensors_file::of(std::as_bytes(std::span(bytes)), "built in", "load_model");
  CHECK(file.entries().size() == 1);
  CHECK(file.metadata().at("k") == "v");
  CHECK(file.read<float>("x")(0, 2) == 3);
  CHECK_THROWS_WITH(file.read<float>("y"), "load_model: built in: has no tensor \"y\"; it has x");
  const auto said_of = [](auto&& open) {
    try {
      (void)open();
      return std::string("nothing");
    } catch (const fw::file_error& e) {
      return std::string(e.what());
    }
  };
  for (std::size_t length = 1; length <= bytes.size(); ++length) {
    const std::string path = folder.write("cut", bytes.substr(0, length));
    const auto part = std::as_bytes(std::span(bytes)).first(length);
    CHECK(said_of([&] { return fw::safetensors_file::of(part, path); }) ==
          said_of([&] { return fw::safetensors_file::read(path); }));
  }
  CHECK_THROWS_WITH(fw::safetensors_file::of({}),
                    "safetensors: memory: has 0 bytes; needs a safetensors file, of at least 10");
}

TEST_CASE("A path that is no file is refused at once, and a link to a file is that file") {
  const scratch_folder folder;
  fw::safetensors_writer out;
  out.add("x", std::vector<float>{1, 2, 3});
  out.save(folder.path("out"));
  const auto says = [&](const std::string& name, const std::string& expected) {
    CHECK_THROWS_WITH(fw::safetensors_file::read(folder.path(name)),
                      "safetensors: " + folder.path(name) + ": " + expected);
  };
  REQUIRE(::mkfifo(folder.path("pipe").c_str(), 0600) == 0);
  fs::create_directory(folder.path("folder"));
  for (const auto& [link, to] :
       {std::pair("to_file", "out"), std::pair("to_link", "to_file"), std::pair("nowhere", "missing"),
        std::pair("itself", "itself"), std::pair("to_pipe", "pipe"), std::pair("to_folder", "folder")})
    fs::create_symlink(to, folder.path(link));
  says("pipe", "is not a regular file; needs one");
  says("to_pipe", "is not a regular file; needs one");
  says("folder", "is a folder; needs a file");
  says("to_folder", "is a folder; needs a file");
  says("nowhere", "cannot be read: No such file or directory");
  says("itself", "cannot be read: Too many levels of symbolic links");
  CHECK(fw::safetensors_file::read(folder.path("to_link")).read<float>("x")(0, 2) == 3);
}

TEST_CASE("A save through links makes or replaces the file behind them") {
  const scratch_folder folder, other;
  fs::create_symlink(other.path("new"), folder.path("link"));
  fs::create_symlink("link", folder.path("to_link"));
  fs::create_symlink("itself", folder.path("itself"));
  fs::create_symlink("none/new", folder.path("nowhere"));
  for (const char* content : {"first", "second"}) {
    fw::save_text(folder.path("to_link"), content);
    CHECK(other.content("new") == content);
  }
  CHECK((fs::is_symlink(folder.path("link")) && fs::is_symlink(folder.path("to_link"))));
  CHECK_THROWS_WITH(fw::save_text(folder.path("itself"), "x"),
                    EndsWith("cannot be written: Too many levels of symbolic links"));
  CHECK_THROWS_WITH(fw::save_text(folder.path("nowhere"), "x"),
                    EndsWith("its folder cannot be used: No such file or directory; needs an existing folder"));
  CHECK((folder.files() == 4 && other.files() == 1));
}

TEST_CASE("Tensors beyond 4 GB of a file are read where they lie") {
  const scratch_folder folder;
  const std::string
      path = folder.path("large"),
      json =
          R"({"x":{"dtype":"U8","shape":[5000000000],"data_offsets":[0,5000000000]},"y":{"dtype":"F32","shape":[2],"data_offsets":[5000000000,5000000008]}})";
  folder.write("large", file_bytes(json));
  std::error_code refused;
  fs::resize_file(path, 8 + json.size() + 5'000'000'008, refused);  // a hole: no disk is used
  if (refused) {
    WARN("no file with a hole can be made here: not tested: " << refused.message());
    return;
  }
  const float numbers[] = {1.5f, -2};
  std::fstream(path, std::ios::binary | std::ios::in | std::ios::out)
      .seekp(-8, std::ios::end)
      .write(reinterpret_cast<const char*>(numbers), 8);
  const auto file = fw::safetensors_file::read(path);
  CHECK(file.entry("x").count() == 5'000'000'000);
  CHECK(file.read<double>("y")(0, 0) == 1.5);
  CHECK(file.read<float>("y")(0, 1) == -2);
}

TEST_CASE("A file that grows after it was opened is read as it was") {
  const scratch_folder folder;
  fw::safetensors_writer out;
  out.add("x", std::vector<float>{1, 2, 3});
  out.save(folder.path("out"));
  const auto file = fw::safetensors_file::read(folder.path("out"));
  std::ofstream(folder.path("out"), std::ios::app) << "more";
  CHECK(file.read<float>("x")(0, 2) == 3);
  CHECK_THROWS_WITH(fw::safetensors_file::read(folder.path("out")),
                    ContainsSubstring("needs an end where the last tensor ends"));
}

TEMPLATE_TEST_CASE("Every NaN keeps its bits through a file, signalling ones too", "", float, double) {
  using bits = std::conditional_t<sizeof(TestType) == 4, std::uint32_t, std::uint64_t>;
  constexpr int fraction = std::numeric_limits<TestType>::digits - 1;
  const bits infinite = std::bit_cast<bits>(std::numeric_limits<TestType>::infinity()),
             sign = bits(1) << (8 * sizeof(bits) - 1);
  std::vector<bits> written{0, sign, infinite, infinite | sign};
  for (int i = 0; i < fraction; ++i)
    for (const bits s : {bits(0), sign}) written.push_back(s | infinite | bits(1) << i);
  fw::matrix<TestType> m(1, static_cast<Index>(written.size()));
  std::memcpy(m.data(), written.data(), written.size() * sizeof(bits));
  const scratch_folder folder;
  fw::safetensors_writer out;
  out.add("x", m);
  out.save(folder.path("out"));
  const auto read = fw::safetensors_file::read(folder.path("out")).template read<TestType>("x");
  CHECK(std::memcmp(read.data(), written.data(), written.size() * sizeof(bits)) == 0);
  const std::string all = folder.content("out");
  CHECK(static_cast<unsigned char>(all[all.size() - 1]) == 0xFF);  // the last NaN's sign and exponent: little-endian
}
