// SPDX-License-Identifier: MIT
#include <formwork/io/safetensors.hpp>

#include "io/scratch_folder.hpp"
#include "support/catch.hpp"

#include <cmath>
#include <cstring>
#include <limits>

namespace fw = formwork;
using fw::Index;

namespace {

std::string reference() {
  return (std::filesystem::path(__FILE__).parent_path() / "data" / "reference.safetensors").string();
}

fw::matrix<double> counted(Index rows, Index cols) {
  fw::matrix<double> m(rows, cols);
  for (Index i = 0; i < m.size(); ++i) m.data()[i] = static_cast<double>(i) / 8;
  return m;
}

template <class S>
bool same_bits(const fw::matrix<S>& a, const fw::matrix<S>& b) {
  return a.rows() == b.rows() && a.cols() == b.cols() &&
         (a.empty() || std::memcmp(a.data(), b.data(), static_cast<std::size_t>(a.size()) * sizeof(S)) == 0);
}

}  // namespace

TEMPLATE_TEST_CASE("Every number type written by the reference implementation is read", "", float, double) {
  const auto file = fw::safetensors_file::read(reference());
  for (const auto& row : fw::dtype_table) {
    const std::string name(row.name);
    CAPTURE(name);
    const auto m = file.read<TestType>(name);
    REQUIRE((m.rows() == 2 && m.cols() == 3));
    for (int i = 0; i < 6; ++i) {
      TestType expected = static_cast<TestType>(i);
      if (name[0] == 'I' || name.find('F') != name.npos) expected -= 3;
      if (name == "BOOL") expected = static_cast<TestType>(i % 2);
      if (name.find('F') != name.npos) expected /= 4;
      CHECK(m.data()[i] == expected);
    }
  }
}

TEST_CASE("Every rank is read: a number as 1 × 1, a vector as one row, higher ranks as all but the last × last") {
  const auto file = fw::safetensors_file::read(reference());
  const auto shape_of = [&](const char* name) {
    const auto m = file.read<float>(name);
    return std::pair(m.rows(), m.cols());
  };
  CHECK(shape_of("rank0") == std::pair<Index, Index>(1, 1));
  CHECK(file.read<float>("rank0")(0, 0) == 7.5f);
  CHECK(shape_of("rank1") == std::pair<Index, Index>(1, 4));
  CHECK(shape_of("rank3") == std::pair<Index, Index>(6, 4));
  CHECK(file.read<float>("rank3")(5, 3) == 23);
  CHECK(file.entry("rank3").shape == std::vector<Index>{2, 3, 4});
  CHECK(shape_of("no_rows") == std::pair<Index, Index>(0, 5));
  CHECK(shape_of("no_columns") == std::pair<Index, Index>(5, 0));
}

TEST_CASE("The ends of the number types are read") {
  const auto file = fw::safetensors_file::read(reference());
  const auto half = file.read<float>("ends.F16");
  CHECK(half(0, 0) == 65504.0f);
  CHECK(half(0, 1) == 0x1p-24f);
  CHECK(half(0, 2) == 0x1p-14f);
  CHECK(half(0, 3) == -INFINITY);
  CHECK(std::isnan(half(0, 4)));
  const auto brain = file.read<double>("ends.BF16");
  CHECK(brain(0, 0) == 3.3895313892515355e38);
  CHECK(brain(0, 1) == 0x1p-133);
  CHECK(brain(0, 2) == -INFINITY);
  CHECK(std::isnan(brain(0, 3)));
  CHECK(file.read_integers<std::int64_t>("ends.I64") ==
        std::vector<std::int64_t>{std::numeric_limits<std::int64_t>::min(), -1,
                                  std::numeric_limits<std::int64_t>::max()});
  const auto wide = file.read<double>("ends.F64");
  CHECK(wide(0, 0) == 1.0 / 3);
  CHECK(wide(0, 2) == -5e-324);
  const auto narrow = file.read<float>("ends.F64");
  CHECK(narrow(0, 0) == static_cast<float>(1.0 / 3));
  CHECK(narrow(0, 1) == INFINITY);
  CHECK((narrow(0, 2) == 0 && std::signbit(narrow(0, 2))));
}

TEST_CASE("Metadata written by the reference implementation is read") {
  const std::map<std::string, std::string> expected{
      {"plain", "text"}, {"quotes \" and \\", "lines\nand\ttabs"}, {"unicode é 中", "𝄞"}, {"", ""}};
  CHECK(fw::safetensors_file::read(reference()).metadata() == expected);
}

TEST_CASE("What was written is read back with the same bits, in any order of types and shapes") {
  const scratch_folder folder;
  const std::string path = folder.path("model.safetensors");
  fw::matrix<float> weight(counted(3, 5).rows(), 5);
  for (Index i = 0; i < weight.size(); ++i)
    weight.data()[i] = std::bit_cast<float>(0x7FC00001u + static_cast<unsigned>(i));  // NaNs
  const fw::matrix<double> wide = counted(70, 1000);                                  // more than one chunk
  const std::vector<std::uint64_t> state{0, ~std::uint64_t(0)};
  const std::vector<std::int64_t> ids{-1, 5, std::numeric_limits<std::int64_t>::min()};
  const std::map<std::string, std::string> metadata{{"a \"b\"\n\\", "\x01 é"}, {"", ""}};
  {
    fw::safetensors_writer out;
    out.add("weight", weight);
    out.add("bytes", std::vector<std::uint8_t>{1, 2, 255});
    out.add("wide", wide, {7, 10, 1000});
    out.add("temporary", counted(2, 2), {4});
    out.add("columns", wide.cols(3, 2).rows(1, 4));
    out.add("state", state);
    out.add("ids é \"", ids, {3, 1});
    out.add("number", fw::matrix<double>(1, 1, 0.1), {});
    out.add("nothing", fw::matrix<float>(0, 4));
    for (const auto& [key, value] : metadata) out.metadata(key, value);
    out.save(path);
  }
  const auto file = fw::safetensors_file::read(path);
  CHECK(file.metadata() == metadata);
  CHECK(file.entries().size() == 9);
  CHECK(same_bits(file.read<float>("weight"), weight));
  CHECK(same_bits(file.read<double>("wide"), wide));
  CHECK(file.entry("wide").shape == std::vector<Index>{7, 10, 1000});
  CHECK(file.read<double>("temporary")(0, 3) == 3.0 / 8);
  CHECK(same_bits(file.read<double>("columns"), fw::matrix<double>(wide.cols(3, 2).rows(1, 4))));
  CHECK(file.read_integers<std::uint64_t>("state") == state);
  CHECK(file.read_integers<std::int64_t>("ids é \"") == ids);
  CHECK(file.read_integers<int>("bytes") == std::vector<int>{1, 2, 255});
  CHECK(file.entry("number").shape.empty());
  CHECK(file.read<double>("number")(0, 0) == 0.1);
  CHECK(file.read<float>("nothing").rows() == 0);
  for (const auto& one : file.entries()) CHECK(one.begin % static_cast<std::uint64_t>(fw::bytes_of(one.type)) == 0);

  const auto narrow = file.read<float>("wide");
  bool rounded = true;
  for (Index i = 0; i < wide.size(); ++i) rounded = rounded && narrow.data()[i] == static_cast<float>(wide.data()[i]);
  CHECK(rounded);
}

TEST_CASE("A small file has exactly the bytes of the format") {
  const scratch_folder folder;
  fw::safetensors_writer out;
  out.metadata("k", "v");
  out.add("x", std::vector<float>{1, -2});
  out.save(folder.path("out"));
  std::string json = R"({"__metadata__":{"k":"v"},"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
  json.resize((json.size() + 7) / 8 * 8, ' ');
  const std::string length{static_cast<char>(json.size()), 0, 0, 0, 0, 0, 0, 0};
  CHECK(folder.content("out") == length + json + std::string("\0\0\x80\x3F\0\0\x00\xC0", 8));
}

TEST_CASE("read_into fills a view of the right shape only") {
  const auto file = fw::safetensors_file::read(reference());
  fw::matrix<float> big(8, 9, -1.0f);
  file.read_into<float>("rank3", big.rows(1, 6).cols(2, 4));
  CHECK(big(1, 2) == 0);
  CHECK(big(6, 5) == 23);
  CHECK((big(0, 2) == -1 && big(1, 1) == -1 && big(1, 6) == -1 && big(7, 2) == -1));
  CHECK_THROWS_WITH(file.read_into<float>("rank3", big.rows(0, 4).cols(0, 6)),
                    "safetensors: " + reference() + ": tensor \"rank3\" is (2 × 3 × 4); needs (4 × 6)");
}

TEST_CASE("A tensor that is not there is refused with the names that are") {
  const auto file = fw::safetensors_file::read(reference());
  CHECK(file.contains("rank0"));
  CHECK(!file.contains("rank"));
  CHECK_THROWS_AS(file.read<float>("weight\n"), fw::file_error);
  CHECK_THROWS_WITH(file.read<float>("weight\n"), ContainsSubstring("has no tensor \"weight\\x0a\"; it has ") &&
                                                      ContainsSubstring(" ... (22 in all)"));
}

TEST_CASE("read_integers refuses fractions and numbers that do not fit") {
  const auto file = fw::safetensors_file::read(reference());
  CHECK_THROWS_WITH(file.read_integers<std::int64_t>("F32"),
                    ContainsSubstring("tensor \"F32\" is F32; needs whole numbers"));
  CHECK_THROWS_WITH(file.read_integers<std::uint64_t>("I8"),
                    ContainsSubstring("tensor \"I8\" holds -3; needs whole numbers of 64 bits"));
  CHECK_THROWS_WITH(file.read_integers<int>("ends.I64"), ContainsSubstring("needs whole numbers of 32 bits"));
}

TEST_CASE("A writer refuses what a reader would, and leaves nothing behind") {
  const scratch_folder folder;
  const fw::matrix<float> m(2, 3, 1.0f);
  const auto message = [&](auto fill) {
    fw::safetensors_writer out;
    fill(out);
    try {
      out.save(folder.path("out"), "save_model");
    } catch (const fw::file_error& e) {
      return std::string(e.what()).substr(std::string("save_model: " + folder.path("out") + ": ").size());
    }
    return std::string("nothing was refused");
  };
  CHECK(message([&](auto& out) { out.add("x", m), out.add("x", m); }) == "tensor \"x\" is there twice");
  CHECK_THAT(message([&](auto& out) { out.add("\xFF", m); }), StartsWith("the header is not JSON: byte 3"));
  CHECK_THAT(message([&](auto& out) { out.add("__metadata__", m); }), StartsWith("__metadata__"));
  CHECK_THAT(message([&](auto& out) { out.metadata("k", "\xC3"); }), StartsWith("the header is not JSON"));
  CHECK(folder.files() == 0);
  fw::safetensors_writer out;
  CHECK_THROWS_AS(out.add("x", m, {5}), fw::argument_error);
  CHECK_THROWS_WITH(out.add("x", m, {5}),
                    "safetensors: tensor \"x\" is (2 × 3) but is to be saved as (5); needs equally many numbers");
}

TEST_CASE("Writing to a full disk is a file error and keeps the old file") {
  if (!std::filesystem::exists("/dev/full")) {
    WARN("no /dev/full here: not tested");
    return;
  }
  fw::safetensors_writer out;
  out.add("x", counted(300, 300));
  CHECK_THROWS_WITH(out.save("/dev/full"), "safetensors: /dev/full: cannot be written: No space left on device");
}

TEST_CASE("A file that shrinks after it was opened is a file error") {
  const scratch_folder folder;
  fw::safetensors_writer out;
  out.add("x", counted(30, 30));
  out.save(folder.path("out"));
  const auto file = fw::safetensors_file::read(folder.path("out"));
  std::filesystem::resize_file(folder.path("out"), 200);
  CHECK_THROWS_WITH(file.read<double>("x"),
                    ContainsSubstring("ends at byte 200") && ContainsSubstring("changed while being read"));
}
