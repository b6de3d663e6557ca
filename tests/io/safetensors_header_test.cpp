// SPDX-License-Identifier: MIT
#include <formwork/io/safetensors.hpp>

#include "io/scratch_folder.hpp"
#include "support/catch.hpp"

#include <random>

namespace fw = formwork;
using fw::Index;

namespace {

std::string file_bytes(const std::string& json, const std::string& data) {
  std::string r(8, '\0');
  for (std::size_t i = 0; i < 8; ++i) r[i] = static_cast<char>(json.size() >> (8 * i));
  return r + json + data;
}

/// What the reader says about a file of these bytes, without "operation: path: "; empty where it takes it.
std::string refusal(const scratch_folder& folder, const std::string& bytes) {
  const std::string path = folder.write("file", bytes);
  try {
    const auto file = fw::safetensors_file::read(path);
    for (const auto& one : file.entries()) (void)file.read<double>(one.name);
    return "";
  } catch (const fw::file_error& e) {
    const std::string message = e.what(), start = "safetensors: " + path + ": ";
    INFO(message);
    REQUIRE(message.substr(0, start.size()) == start);
    REQUIRE(message.find_first_of("\n\r") == std::string::npos);
    REQUIRE(message.size() < start.size() + 400);
    return message.substr(start.size());
  }
}

std::string small_model() {
  return file_bytes(
      R"({"__metadata__":{"by":"hand"},"w":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},"b":{"dtype":"F64","shape":[2],"data_offsets":[16,32]},"n":{"dtype":"I64","shape":[],"data_offsets":[32,40]}})",
      std::string(40, '\1'));
}

}  // namespace

TEST_CASE("A well-formed file is taken, in any order of names and offsets") {
  const scratch_folder folder;
  CHECK(refusal(folder, small_model()).empty());
  CHECK(refusal(folder, file_bytes("{}", "")).empty());
  CHECK(refusal(folder, file_bytes("{}      ", "")).empty());
  CHECK(refusal(folder, file_bytes(R"({"__metadata__":{}})", "")).empty());
  CHECK(
      refusal(
          folder,
          file_bytes(
              R"({"b":{"dtype":"U8","shape":[3],"data_offsets":[2,5]},"a":{"data_offsets":[0,2],"shape":[2],"dtype":"I8"}})",
              "12345"))
          .empty());
  CHECK(
      refusal(
          folder,
          file_bytes(
              R"({"z":{"dtype":"F64","shape":[0],"data_offsets":[2,2]},"b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]},"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"y":{"dtype":"F32","shape":[5,0],"data_offsets":[0,0]}})",
              "123"))
          .empty());
  CHECK(refusal(folder, file_bytes(R"({"":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", "1")).empty());
}

TEST_CASE("Every truncation of a small file is one clear error") {
  const scratch_folder folder;
  const std::string whole = small_model();
  REQUIRE(refusal(folder, whole).empty());
  for (std::size_t length = 0; length < whole.size(); ++length) {
    CAPTURE(length);
    const std::string message = refusal(folder, whole.substr(0, length));
    REQUIRE_FALSE(message.empty());
    if (length == 0) CHECK(message == "is empty; needs a file with content");
    if (length > 0 && length < 10) CHECK_THAT(message, EndsWith("bytes; needs a safetensors file, of at least 10"));
    if (length >= 10) CHECK_THAT(message, ContainsSubstring("it was cut short"));
  }
  CHECK_THAT(refusal(folder, whole + "x"), ContainsSubstring("needs an end where the last tensor ends"));
}

TEST_CASE("Every changed byte of a small file is taken or refused in one line") {
  const scratch_folder folder;
  const std::string whole = small_model();
  for (std::size_t at = 0; at + 40 < whole.size(); ++at)
    for (const char to : {'\0', '\n', '"', '{', '}', '[', ']', ',', '-', '9', '\x7f', '\xff'}) {
      std::string changed = whole;
      changed[at] = to;
      (void)refusal(folder, changed);
    }
  std::mt19937 draw(1);
  for (int i = 0; i < 3000; ++i) {
    std::string changed = whole;
    for (unsigned n = 1 + draw() % 4; n > 0; --n) {
      const std::size_t at = draw() % changed.size();
      switch (draw() % 3) {
        case 0:
          changed[at] = static_cast<char>(draw());
          break;
        case 1:
          changed.erase(at, 1 + draw() % 9);
          break;
        default:
          changed.insert(at, whole.substr(draw() % whole.size(), draw() % 40));
      }
    }
    (void)refusal(folder, changed);
  }
}

TEST_CASE(
    "Every flipped bit of a header is one clear error, or the same tensors, one of them perhaps under another name") {
  const std::string whole = small_model();
  const auto open = [](const std::string& bytes) { return fw::safetensors_file::of(std::as_bytes(std::span(bytes))); };
  const auto original = open(whole).entries();
  int taken = 0, renamed = 0, refused = 0;
  for (std::size_t bit = 0; bit < 8 * (whole.size() - 40); ++bit) {
    std::string flipped = whole;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ 1 << bit % 8);
    CAPTURE(bit, flipped);
    try {
      const auto entries = open(flipped).entries();
      int other_names = 0;
      REQUIRE(entries.size() == original.size());
      for (std::size_t i = 0; i < entries.size(); ++i) {
        const auto &now = entries[i], &was = original[i];
        REQUIRE((now.type == was.type && now.shape == was.shape && now.begin == was.begin && now.end == was.end));
        other_names += now.name != was.name;
      }
      REQUIRE(other_names <= 1);
      renamed += other_names;
      ++taken;
    } catch (const fw::file_error& e) {
      REQUIRE_THAT(e.what(), StartsWith("safetensors: memory: ") && !ContainsSubstring("\n"));
      ++refused;
    }
  }
  CHECK(renamed > 10);     // the names have 3 letters
  CHECK(taken > renamed);  // and there is metadata
  CHECK(refused > 10 * taken);
}

TEST_CASE("A wrong header length is refused before anything of that size is allocated") {
  const scratch_folder folder;
  const auto with_length = [](std::uint64_t length) {
    std::string r = small_model();
    for (std::size_t i = 0; i < 8; ++i) r[i] = static_cast<char>(length >> (8 * i));
    return r;
  };
  const std::uint64_t room = small_model().size() - 8;
  CHECK_THAT(refusal(folder, with_length(room + 1)), ContainsSubstring("it was cut short"));
  CHECK_THAT(refusal(folder, with_length(100'000'000)), ContainsSubstring("it was cut short"));
  CHECK_THAT(refusal(folder, with_length(100'000'001)), ContainsSubstring("needs at most 100000000"));
  CHECK_THAT(refusal(folder, with_length(~std::uint64_t(0))), ContainsSubstring("18446744073709551615; needs at most"));
  CHECK_THAT(refusal(folder, with_length(~std::uint64_t(0) - 7)), ContainsSubstring("needs at most"));
  CHECK_THAT(refusal(folder, with_length(0)), ContainsSubstring("does not start with {"));
  CHECK_THAT(refusal(folder, with_length(room)), ContainsSubstring("not JSON"));
}

TEST_CASE("A header that is not an object of tensors is refused by what it is") {
  const scratch_folder folder;
  const auto says = [&](const std::string& json, const std::string& expected) {
    CAPTURE(json.substr(0, 200));
    CHECK_THAT(refusal(folder, file_bytes(json, "12345678")), ContainsSubstring(expected));
  };
  const auto tensor = [](const std::string& type, const std::string& shape, const std::string& offsets) {
    return R"({"x":{"dtype":)" + type + R"(,"shape":)" + shape + R"(,"data_offsets":)" + offsets + "}}";
  };
  says("[]      ", "does not start with {");
  says("\xEF\xBB\xBF{}  ", "does not start with {");
  says(" {}", "does not start with {");
  says("{", "not JSON");
  says("{}{}", "not JSON");
  says("{} x", "not JSON");
  says(std::string("{}\0 garbage", 11), "zero byte");
  says("{\"a\":}", "not JSON");
  says("{'a':1}", "not JSON");
  says("{/**/}", "not JSON");
  says("{\"\xC3\x28\":1}", "not JSON");
  says("{\"\\ud800\":1}", "not JSON");
  says("{\"a\":NaN}", "not JSON");
  says(R"({"a":1})", R"(tensor "a" is a number; needs an object)");
  says(R"({"a":null})", R"(tensor "a" is null; needs an object)");
  says(R"({"a":[]})", R"(tensor "a" is an array; needs an object)");
  says(R"({"a":{}})", R"(tensor "a" has no dtype)");
  says(R"({"a":{"dtype":"F32"}})", R"(tensor "a" has no shape)");
  says(R"({"a":{"dtype":"F32","shape":[2]}})", R"(tensor "a" has no data_offsets)");
  says(R"({"a":{"dtype":"F32","stride":[2]}})",
       R"(tensor "a": stride is not known; needs dtype, shape and data_offsets)");
  says(R"({"a":{"dtype":"F32","dtype":"F32"}})", R"(tensor "a": dtype is there twice)");
  says(R"({"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})",
       R"(tensor "x" is there twice)");
  says(R"({"__metadata__":{},"__metadata__":{}})", "\"__metadata__\" is there twice");
  says(R"({"__metadata__":{"a":"1","a":"2"}})", "__metadata__: a is there twice");
  says(R"({"__metadata__":{"a":1}})", "__metadata__: a is a number; needs a string");
  says(R"({"__metadata__":{"a":NaN}})", "not JSON");
  says(R"({"__metadata__":{"a":1e999}})", "not JSON");
  says(R"({"__metadata__":{"a":null}})", "__metadata__: a is null; needs a string");
  says(R"({"__metadata__":{"a":{}}})", "__metadata__: a is an object; needs a string");
  says(R"({"__metadata__":{"a":["b"]}})", "__metadata__: a is an array; needs a string");
  says(R"({"__metadata__":"a"})", "__metadata__ is a string; needs an object");
  says(R"({"__metadata__":[]})", "__metadata__ is an array; needs an object");
  says(tensor("\"F8_E4M3\"", "[8]", "[0,8]"), R"(tensor "x": dtype is "F8_E4M3"; needs BOOL)");
  says(tensor("\"f32\"", "[2]", "[0,8]"), R"(dtype is "f32")");
  says(tensor("4", "[2]", "[0,8]"), R"(tensor "x": dtype is a number; needs a string)");
  says(tensor("[\"F32\"]", "[2]", "[0,8]"), R"(tensor "x": dtype is an array; needs a string)");
  says(tensor("\"F32\"", "2", "[0,8]"), R"(tensor "x": shape is a number; needs an array)");
  says(tensor("\"F32\"", "\"2\"", "[0,8]"), R"(tensor "x": shape is a string; needs an array)");
  says(tensor("\"F32\"", "{}", "[0,8]"), R"(tensor "x": shape is an object; needs an array)");
  says(tensor("\"F32\"", "[-2]", "[0,8]"), R"(tensor "x": shape holds a negative number; needs whole numbers >= 0)");
  says(tensor("\"F32\"", "[02]", "[0,8]"), "not JSON");
  says(tensor("\"F32\"", "[2.0]", "[0,8]"), "shape holds a number that is not a whole one of 64 bits");
  says(tensor("\"F32\"", "[true]", "[0,8]"), "shape holds a boolean; needs whole numbers >= 0");
  says(tensor("\"F32\"", "[\"2\"]", "[0,8]"), "shape holds a string");
  says(tensor("\"F32\"", "[[2]]", "[0,8]"), "shape holds an array");
  says(tensor("\"F32\"", "[{}]", "[0,8]"), "shape holds an object");
  says(tensor("\"F32\"", "[2]", "[0]"), "data_offsets has 1 numbers; needs 2");
  says(tensor("\"F32\"", "[2]", "[0,8,8]"), "data_offsets has 3 numbers; needs 2");
  says(tensor("\"F32\"", "[2]", "[-8,0]"), "data_offsets holds a negative number");
  says(tensor("\"F32\"", "[2]", "[8,0]"), "data_offsets are [8, 0] but F32 (2) needs 8 bytes");
  says(tensor("\"F32\"", "[2]", "[0,7]"), "data_offsets are [0, 7] but F32 (2) needs 8 bytes");
  says(tensor("\"F32\"", "[2]", "[0,1e1]"), "not a whole one");
}

TEST_CASE("Holes, overlaps and data outside the file are refused") {
  const scratch_folder folder;
  const auto two = [&](const std::string& first, const std::string& second, std::size_t bytes) {
    return refusal(folder, file_bytes(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":)" + first +
                                          R"(},"b":{"dtype":"U8","shape":[4],"data_offsets":)" + second + "}}",
                                      std::string(bytes, 'x')));
  };
  CHECK(two("[0,4]", "[4,8]", 8).empty());
  CHECK(two("[4,8]", "[0,4]", 8).empty());
  CHECK_THAT(two("[0,4]", "[5,9]", 9),
             ContainsSubstring("\"b\": data starts at 5 but the data before it ends at 4; needs no holes"));
  CHECK_THAT(two("[0,4]", "[3,7]", 8),
             ContainsSubstring("\"b\": data starts at 3 but the data before it ends at 4; needs no overlaps"));
  CHECK_THAT(two("[0,4]", "[0,4]", 4), ContainsSubstring("needs no overlaps"));
  CHECK_THAT(two("[1,5]", "[5,9]", 9),
             ContainsSubstring("\"a\": data starts at 1 but the data before it ends at 0; needs no holes"));
  CHECK_THAT(two("[0,4]", "[4,8]", 7), ContainsSubstring("need 8 bytes of data but the file has 7; it was cut short"));
  CHECK_THAT(two("[0,4]", "[4,8]", 9), ContainsSubstring("needs an end where the last tensor ends"));
  CHECK_THAT(two("[0,4]", "[18446744073709551612,18446744073709551616]", 8),
             ContainsSubstring("not a whole one of 64 bits"));
  CHECK_THAT(two("[0,4]", "[18446744073709551611,18446744073709551615]", 8), ContainsSubstring("needs no holes"));
}

TEST_CASE("Sizes whose product overflows are refused before anything is allocated") {
  const scratch_folder folder;
  const auto shaped = [&](const std::string& shape, const std::string& type = "F32") {
    return refusal(
        folder,
        file_bytes(R"({"x":{"dtype":")" + type + R"(","shape":)" + shape + R"(,"data_offsets":[0,8]}})", "12345678"));
  };
  const std::string big = "4294967296";
  CHECK_THAT(shaped("[" + big + "," + big + "]"), ContainsSubstring("is more than any memory"));
  CHECK_THAT(shaped("[" + big + "," + big + "]", "U8"), ContainsSubstring("is more than any memory"));
  CHECK_THAT(shaped("[" + big + "," + big + ",0]"), ContainsSubstring("is more than any memory"));
  CHECK_THAT(shaped("[4611686018427387904]"), ContainsSubstring("is more than any memory"));
  CHECK_THAT(shaped("[4611686018427387906]"),
             ContainsSubstring("is more than any memory"));  // 2^62 + 2: × 4 is 8 again
  CHECK_THAT(shaped("[9223372036854775808]", "U8"), ContainsSubstring("more than any size"));
  CHECK_THAT(shaped("[18446744073709551615]", "U8"), ContainsSubstring("more than any size"));
  CHECK_THAT(shaped("[18446744073709551616]", "U8"), ContainsSubstring("not a whole one of 64 bits"));
  CHECK_THAT(shaped("[1000000000000]"), ContainsSubstring("needs 4000000000000 bytes"));
  std::string ones = "1";
  for (int i = 1; i < 32; ++i) ones += ",1";
  CHECK_THAT(shaped("[" + ones + "]"), ContainsSubstring("needs 4 bytes"));
  CHECK_THAT(shaped("[" + ones + ",1]"), ContainsSubstring("has more than 32 numbers"));
}

TEST_CASE("A deep header is refused at its first level that does not belong") {
  const scratch_folder folder;
  std::string arrays = "{\"a\":", objects = "", shapes = R"({"a":{"dtype":"F32","shape":)";
  for (int i = 0; i < 1'000'000; ++i) arrays += '[', objects += "{\"a\":", shapes += '[';
  CHECK_THAT(refusal(folder, file_bytes(arrays, "")), ContainsSubstring("tensor \"a\" is an array; needs an object"));
  CHECK_THAT(refusal(folder, file_bytes(objects, "")), ContainsSubstring("tensor \"a\": a is not known"));
  CHECK_THAT(refusal(folder, file_bytes(shapes, "")), ContainsSubstring("shape holds an array"));
}

TEST_CASE("A long or strange name is cut and escaped in the error") {
  const scratch_folder folder;
  CHECK_THAT(refusal(folder, file_bytes("{\"" + std::string(1'000'000, 'n') + "\":1}", "")),
             ContainsSubstring("nnn…\" is a number"));
  CHECK_THAT(refusal(folder, file_bytes(R"({"a\nb":1})", "")), ContainsSubstring("tensor \"a\\x0ab\" is a number"));
  CHECK_THAT(refusal(folder, file_bytes(R"({"a":{"dtype":"\n"}})", "")), ContainsSubstring("dtype is \"\\x0a\""));
}
