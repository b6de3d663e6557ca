// SPDX-License-Identifier: MIT
#include <formwork/io/file.hpp>

#include "io/scratch_folder.hpp"
#include "support/catch.hpp"

#include <sys/resource.h>
#include <sys/wait.h>

#include <csignal>
#include <thread>

namespace fw = formwork;
namespace fs = std::filesystem;

TEST_CASE("read_text returns every byte of a file") {
  const scratch_folder folder;
  std::string all;
  for (int i = 0; i < 300'000; ++i) all += static_cast<char>(i * 7);
  CHECK(fw::read_text(folder.write("bytes", all)) == all);
  CHECK(fw::read_text(folder.write("one", std::string(1, '\0'))) == std::string(1, '\0'));
}

TEST_CASE("read_text reads a pipe to its end") {
  const scratch_folder folder;
  const std::string path = folder.path("pipe");
  REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
  std::thread sender([&] { std::ofstream(path) << std::string(200'000, 'x'); });
  const std::string got = fw::read_text(path);
  sender.join();
  CHECK(got == std::string(200'000, 'x'));
}

TEST_CASE("read_text names the path and the reason when there is nothing to read") {
  const scratch_folder folder;
  const std::string missing = folder.path("missing"), empty = folder.write("empty", "");
  CHECK_THROWS_AS(fw::read_text(missing), fw::file_error);
  CHECK_THROWS_WITH(fw::read_text(missing), "read_text: " + missing + ": cannot be read: No such file or directory");
  CHECK_THROWS_WITH(fw::read_text(folder.path("")), ContainsSubstring("is a folder; needs a file"));
  CHECK_THROWS_WITH(fw::read_text(empty), "read_text: " + empty + ": is empty; needs a file with content");
  CHECK_THROWS_WITH(fw::read_text(""), ContainsSubstring("no file name"));
  CHECK_THROWS_WITH(fw::read_text(std::string("a\0b", 3)), ContainsSubstring("no file name"));
  CHECK_THROWS_WITH(fw::read_text(empty + "/below"), ContainsSubstring("Not a directory"));
  CHECK_THROWS_WITH(fw::read_text("/dev/zero"), ContainsSubstring("is not a regular file"));
  if (::geteuid() != 0) {
    const std::string secret = folder.write("secret", "text");
    fs::permissions(secret, fs::perms::none);
    CHECK_THROWS_WITH(fw::read_text(secret), ContainsSubstring("Permission denied"));
  }
}

TEST_CASE("A file error is one line, whatever the path") {
  CHECK_THROWS_WITH(fw::read_text("a\nb\x1b"), "read_text: a\\x0ab\\x1b: cannot be read: No such file or directory");
}

TEST_CASE("one_line escapes control characters and cuts between characters") {
  CHECK(fw::one_line("plain é 中") == "plain é 中");
  CHECK(fw::one_line("\t\x7f") == "\\x09\\x7f");
  CHECK(fw::one_line("éé", 3) == "é…");
  CHECK(fw::one_line(std::string(3, '\x80'), 1) == "…");
  CHECK(fw::one_line("abc", 3) == "abc");
}

TEST_CASE("save_text writes a new file and replaces an old one whole, keeping its permissions") {
  const scratch_folder folder;
  const std::string path = folder.path("out");
  fw::save_text(path, "first, longer");
  CHECK(folder.content("out") == "first, longer");
  fs::permissions(path, fs::perms::owner_read | fs::perms::owner_write | fs::perms::group_read);
  fw::save_text(path, "second");
  CHECK(folder.content("out") == "second");
  CHECK(fs::status(path).permissions() == (fs::perms::owner_read | fs::perms::owner_write | fs::perms::group_read));
  fw::save_text(path, "");
  CHECK(fs::file_size(path) == 0);
  CHECK(folder.files() == 1);
}

TEST_CASE("output_file keeps the order of small and large writes") {
  const scratch_folder folder;
  std::string all;
  {
    fw::output_file out("test", folder.path("out"));
    for (const int bytes : {1, 7, 300'000, 3, 262'140, 4, 1, 262'144, 262'145, 0, 5}) {
      const std::string part(static_cast<std::size_t>(bytes), static_cast<char>('a' + bytes % 26));
      out.write(part);
      all += part;
    }
    CHECK(!fs::exists(folder.path("out")));
    out.commit();
  }
  CHECK(folder.content("out") == all);
}

TEST_CASE("A save that is given up leaves the old file and no temporary") {
  const scratch_folder folder;
  folder.write("out", "old");
  {
    fw::output_file out("test", folder.path("out"));
    out.write(std::string(1'000'000, 'x'));
    CHECK(folder.files() == 2);
  }
  CHECK(folder.content("out") == "old");
  CHECK(folder.files() == 1);
}

TEST_CASE("Two saves of one name at once do not mix") {
  const scratch_folder folder;
  fw::output_file a("test", folder.path("out")), b("test", folder.path("out"));
  a.write("a a a");
  b.write("b");
  b.commit();
  a.commit();
  CHECK(folder.content("out") == "a a a");
}

TEST_CASE("A save through a link replaces the file behind it") {
  const scratch_folder folder;
  folder.write("real", "old");
  fs::create_symlink("real", folder.path("link"));
  fw::save_text(folder.path("link"), "new");
  CHECK(fs::is_symlink(folder.path("link")));
  CHECK(folder.content("real") == "new");
}

TEST_CASE("A long name can be saved") {
  const scratch_folder folder;
  fw::save_text(folder.path(std::string(255, 'n')), "x");
  CHECK(folder.content(std::string(255, 'n')) == "x");
  CHECK_THROWS_WITH(fw::save_text(folder.path(std::string(256, 'n')), "x"), ContainsSubstring("File name too long"));
  CHECK(folder.files() == 1);
}

TEST_CASE("save_text names the path and the reason when it cannot write") {
  const scratch_folder folder;
  folder.write("file", "old");
  CHECK_THROWS_AS(fw::save_text("", "x"), fw::file_error);
  CHECK_THROWS_WITH(fw::save_text(folder.path("none/out"), "x"),
                    "save_text: " + folder.path("none/out") +
                        ": its folder cannot be used: No such file or directory; needs an existing folder");
  CHECK_THROWS_WITH(fw::save_text(folder.path("file/out"), "x"), ContainsSubstring("is not a folder"));
  CHECK_THROWS_WITH(fw::save_text(folder.path(""), "x"), ContainsSubstring("is no file name"));
  fs::create_directory(folder.path("sub"));
  CHECK_THROWS_WITH(fw::save_text(folder.path("sub"), "x"), ContainsSubstring("is a folder; needs a file name"));
  if (::geteuid() != 0) {
    fs::permissions(folder.path("sub"), fs::perms::owner_read | fs::perms::owner_exec);
    CHECK_THROWS_WITH(fw::save_text(folder.path("sub/out"), "x"), ContainsSubstring("Permission denied"));
  }
}

TEST_CASE("A full disk is a file error with the system's reason") {
  if (!fs::exists("/dev/full")) {
    WARN("no /dev/full here: not tested");
    return;
  }
  CHECK_THROWS_AS(fw::save_text("/dev/full", "x"), fw::file_error);
  CHECK_THROWS_WITH(fw::save_text("/dev/full", "x"),
                    "save_text: /dev/full: cannot be written: No space left on device");
  CHECK_THROWS_WITH(fw::save_text("/dev/full", std::string(1'000'000, 'x')),
                    ContainsSubstring("No space left on device"));
  CHECK(fs::is_character_file("/dev/full"));
}

TEST_CASE("A write that the system refuses half-way leaves the old file and no temporary") {
  const scratch_folder folder;
  folder.write("out", "old");
  struct rlimit before;
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  struct rlimit small = before;
  small.rlim_cur = 100'000;
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
  std::string message;
  try {
    fw::save_text(folder.path("out"), std::string(1'000'000, 'x'));
  } catch (const fw::file_error& e) {
    message = e.what();
  }
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  CHECK(message == "save_text: " + folder.path("out") +
                       ": cannot be written: File too large; nothing was saved, an old file is as it was");
  CHECK(folder.content("out") == "old");
  CHECK(folder.files() == 1);
}

TEST_CASE("A process killed while it saves leaves the old file or the new one, whole") {
  const scratch_folder folder;
  const std::string path = folder.path("out");
  fw::save_text(path, std::string(500'000, 'a'));
  for (int round = 0; round < 20; ++round) {
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0)
      for (char letter = 'a';; letter = letter == 'z' ? 'a' : static_cast<char>(letter + 1))
        fw::save_text(path, std::string(500'000, letter));
    ::usleep(static_cast<useconds_t>(500 + 370 * round));
    ::kill(child, SIGKILL);
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    const std::string found = folder.content("out");
    REQUIRE(found.size() == 500'000);
    REQUIRE(found.find_first_not_of(found[0]) == std::string::npos);
  }
}

TEST_CASE("require_writable refuses what save_text would refuse, and changes nothing") {
  const scratch_folder folder;
  fw::require_writable(folder.path("new"));
  CHECK(folder.files() == 0);
  folder.write("old", "content");
  fw::require_writable(folder.path("old"));
  CHECK(folder.content("old") == "content");
  CHECK(folder.files() == 1);
  CHECK_THROWS_WITH(fw::require_writable(folder.path("none/out")), ContainsSubstring("needs an existing folder"));
  CHECK_THROWS_WITH(fw::require_writable(folder.path("")), ContainsSubstring("is no file name"));
}
