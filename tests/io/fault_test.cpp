// SPDX-License-Identifier: MIT
// A save whose system calls fail, one after another, or whose process dies at one of them.
#include <formwork/io/safetensors.hpp>

#include "io/scratch_folder.hpp"
#include "support/catch.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdarg>
#include <cstring>

namespace fw = formwork;
namespace fs = std::filesystem;

namespace {

enum class fault { none, error, half, killed_before, killed_after };

struct system_call {
  std::string name, path = {};
};

/// What happens at which of the system calls made while it is armed, and which those were.
struct {
  bool armed = false;
  std::size_t at = 0;
  fault what = fault::none;
  int error = 0;
  std::vector<system_call> made;
} plan;

/// A system call of this program: as planned, else as it is.
template <class Call>
auto planned(const char* name, const char* path, Call&& call) {
  if (!plan.armed) return call();
  const fault now = plan.made.size() == plan.at ? plan.what : fault::none;
  plan.made.push_back({name, path});
  if (now == fault::killed_before) ::raise(SIGKILL);
  if (now == fault::error && std::string_view(name) != "close") {
    errno = plan.error;
    return decltype(call())(-1);
  }
  const auto result = call();
  if (now == fault::killed_after) ::raise(SIGKILL);
  if (now != fault::error) return result;
  errno = plan.error;  // a close that fails has closed
  return decltype(result)(-1);
}

}  // namespace

// These stand in front of the C library's for everything in this program.
extern "C" {
int open(const char* path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  const int mode = (flags & O_CREAT) != 0 ? va_arg(more, int) : 0;
  va_end(more);
  return planned("open", path, [&] { return int(::syscall(SYS_openat, AT_FDCWD, path, flags, mode)); });
}
ssize_t write(int file, const void* from, std::size_t bytes) {
  if (plan.armed && plan.what == fault::half && plan.made.size() == plan.at) bytes /= 2;
  return planned("write", "", [&] { return ssize_t(::syscall(SYS_write, file, from, bytes)); });
}
int fsync(int file) {
  return planned("fsync", "", [&] { return int(::syscall(SYS_fsync, file)); });
}
int close(int file) {
  return planned("close", "", [&] { return int(::syscall(SYS_close, file)); });
}
int rename(const char* from, const char* to) noexcept {
  return planned("rename", to, [&] { return ::renameat(AT_FDCWD, from, AT_FDCWD, to); });
}
int unlink(const char* path) noexcept {
  return planned("unlink", path, [&] { return ::unlinkat(AT_FDCWD, path, 0); });
}
ssize_t readlink(const char* path, char* to, std::size_t bytes) noexcept {
  return planned("readlink", path, [&] { return ::readlinkat(AT_FDCWD, path, to, bytes); });
}
int stat(const char* path, struct stat* found) noexcept {
  return planned("stat", path, [&] { return ::fstatat(AT_FDCWD, path, found, 0); });
}
int fstat(int file, struct stat* found) noexcept {
  return planned("fstat", "", [&] { return ::fstatat(file, "", found, AT_EMPTY_PATH); });
}
int fchmod(int file, mode_t mode) noexcept {
  return planned("fchmod", "", [&] { return int(::syscall(SYS_fchmod, file, mode)); });
}
int flock(int file, int operation) noexcept {
  return planned("flock", "", [&] { return int(::syscall(SYS_flock, file, operation)); });
}
DIR* opendir(const char* path) {
  const int file =
      planned("opendir", path, [&] { return int(::syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_DIRECTORY)); });
  return file < 0 ? nullptr : ::fdopendir(file);
}
}

namespace {

const std::string old_content = "the old file";
const std::string leftover = ".out.1.0.tmp";

void save(const std::string& path) {
  static const fw::matrix<float> large(300, 301, 0.5f);  // more than the buffer
  fw::safetensors_writer out;
  out.add("large", large);
  out.add("small", std::vector<double>{1, 2});
  out.save(path);
}

/// The bytes that save() writes.
const std::string& new_content() {
  static const std::string bytes = [] {
    const scratch_folder folder;
    save(folder.path("out"));
    return folder.content("out");
  }();
  return bytes;
}

/// A folder with an old file, half of whose permissions the umask takes, and what a killed save of it left.
struct setting {
  scratch_folder folder;
  std::string out = folder.write("out", old_content);
  fs::perms permissions = fs::perms::owner_read | fs::perms::owner_write | fs::perms::group_write;
  setting() {
    folder.write(leftover, "half a fi");
    fs::permissions(out, permissions);
  }
  bool has_leftover() const { return fs::exists(folder.path(leftover)); }
  std::size_t other_files() const { return folder.files() - 1 - (has_leftover() ? 1 : 0); }
};

/// What a save says under a fault; empty where it succeeds.
std::string save_under(fault what, std::size_t at, int error, const std::string& path) {
  std::string message;
  plan.what = what;
  plan.at = at;
  plan.error = error;
  plan.made.clear();
  plan.armed = true;
  try {
    save(path);
  } catch (const fw::file_error& e) {
    message = e.what();
  }
  plan.armed = false;
  return message;
}

/// What f returns in a process of its own.
template <class F>
std::string in_child(F&& f) {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    std::string said;
    try {
      said = f();
    } catch (const std::exception& e) {
      said = e.what();
    }
    ::_exit(::write(ends[1], said.data(), said.size()) == static_cast<ssize_t>(said.size()) ? 0 : 1);
  }
  ::close(ends[1]);
  std::string said(10'000, '\0');
  const ssize_t got = ::read(ends[0], said.data(), said.size());
  ::close(ends[0]);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(status == 0);
  return said.substr(0, static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
}

/// Calls without which a save can still be made: what they fail to do, a later save does.
bool is_spared(const system_call& one, int error) {
  if (one.name == "open") return one.path.ends_with(leftover) || (error == EACCES && !one.path.ends_with(".tmp"));
  for (const char* name : {"opendir", "flock", "unlink", "fchmod", "fstat", "close"})
    if (one.name == name) return true;
  return false;
}

}  // namespace

TEST_CASE("A save makes the calls that the faults below stand for") {
  const setting s;
  REQUIRE(save_under(fault::none, 0, 0, s.out).empty());
  CHECK((s.folder.content("out") == new_content()));
  std::string all;
  for (const auto& one : plan.made) all += one.name + " ";
  CHECK(all ==
        "stat readlink stat opendir open flock unlink close open flock fstat fchmod write write fsync open rename "
        "fsync close close ");
}

TEST_CASE(
    "Whichever call of a save fails, the old file or the new one is there, whole, with one error where it is the old") {
  const std::size_t calls = [] {
    const setting s;
    save_under(fault::none, 0, 0, s.out);
    return plan.made.size();
  }();
  int refused = 0;
  for (const int error : {ENOSPC, EIO, EDQUOT, EMFILE, EACCES})
    for (std::size_t at = 0; at < calls; ++at) {
      const setting s;
      const std::string message = save_under(fault::error, at, error, s.out);
      REQUIRE(plan.made.size() > at);
      const system_call& one = plan.made[at];
      CAPTURE(at, one.name, one.path, message, std::strerror(error));
      const bool renamed = std::any_of(plan.made.begin(), plan.made.begin() + static_cast<std::ptrdiff_t>(at),
                                       [](const auto& before) { return before.name == "rename"; });
      CHECK(message.empty() == is_spared(one, error));
      CHECK((s.folder.content("out") == (message.empty() || renamed ? new_content() : old_content)));
      CHECK(s.other_files() == 0);
      CHECK((fs::status(s.out).permissions() & ~s.permissions) == fs::perms::none);
      if (message.empty()) continue;
      ++refused;
      CHECK_THAT(message, StartsWith("safetensors: " + s.out + ": ") && ContainsSubstring(std::strerror(error)));
      CHECK(message.find('\n') == message.npos);
      if (one.name == "write" || one.name == "fsync" || one.name == "rename")
        CHECK_THAT(message, EndsWith(renamed ? "a power failure may bring the old one back"
                                             : "nothing was saved, an old file is as it was"));
      save(s.out);
      CHECK((s.folder.content("out") == new_content()));
    }
  CHECK(refused > 40);
}

TEST_CASE("A save that signals interrupt, and whose writes stop half-way, is made") {
  std::size_t calls = 1;
  for (std::size_t at = 0; at < calls; ++at)
    for (const fault what : {fault::error, fault::half}) {
      const setting s;
      const std::string message = save_under(what, at, EINTR, s.out);
      calls = std::max(calls, plan.made.size());
      const system_call& one = plan.made[at];
      if (what == fault::error && (one.name == "stat" || one.name == "readlink")) continue;  // never interrupted
      CAPTURE(at, one.name);
      CHECK(message.empty());
      CHECK((s.folder.content("out") == new_content()));
      CHECK(s.other_files() == 0);
    }
  CHECK(calls > 20);
}

TEST_CASE("A process that dies at any call of a save leaves the old file or the new one, and the next save tidies up") {
  std::size_t calls = 0;
  {
    const setting s;
    save_under(fault::none, 0, 0, s.out);
    calls = plan.made.size();
  }
  int left = 0, kept = 0;
  for (std::size_t at = 0; at < calls; ++at)
    for (const fault what : {fault::killed_before, fault::killed_after}) {
      const setting s;
      const pid_t child = ::fork();
      REQUIRE(child >= 0);
      if (child == 0) {
        save_under(what, at, 0, s.out);
        ::_exit(0);
      }
      int status = 0;
      REQUIRE(::waitpid(child, &status, 0) == child);
      REQUIRE((WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL));
      CAPTURE(at);
      const std::string found = s.folder.content("out");
      CHECK((found == old_content || found == new_content()));
      left += s.other_files() > 0;
      kept += found == old_content;
      save(s.out);
      CHECK((s.folder.content("out") == new_content()));
      CHECK(s.folder.files() == 1);
    }
  CHECK(left > 10);
  CHECK(kept > left);
}

TEST_CASE("A save removes only what is a killed save's of its own name") {
  const scratch_folder folder;
  for (const char* name : {".out.tmp", ".out.1.tmp", ".out.a.1.tmp", ".out.1.b.tmp", ".out..1.tmp", ".out.1..tmp",
                           ".out.1.2.3.tmp", ".out.1.2.tmp.", "out.1.2.tmp", ".outer.1.2.tmp", ".out.1-2.tmp"})
    folder.write(name, "not mine");
  fs::create_directory(folder.path(".out.5.1.tmp"));
  folder.write("victim", "of a link");
  fs::create_symlink("victim", folder.path(".out.5.2.tmp"));
  const std::size_t before = folder.files();
  folder.write(".out.5.0.tmp", "left by a save");
  save(folder.path("out"));
  CHECK(folder.content("victim") == "of a link");
  CHECK(folder.files() == before + 1);
  CHECK(!fs::exists(folder.path(".out.5.0.tmp")));
}

TEST_CASE("A save leaves alone what another process is saving") {
  const scratch_folder folder;
  int ready[2], done[2];
  REQUIRE((::pipe(ready) == 0 && ::pipe(done) == 0));
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  char byte = 0;
  if (child == 0) {
    fw::output_file slow("test", folder.path("out"));
    slow.write("slow");
    if (::write(ready[1], &byte, 1) != 1 || ::read(done[0], &byte, 1) != 1) ::_exit(1);
    slow.commit();
    ::_exit(0);
  }
  REQUIRE(::read(ready[0], &byte, 1) == 1);
  fw::save_text(folder.path("out"), "quick");
  CHECK(folder.content("out") == "quick");
  CHECK(folder.files() == 2);
  REQUIRE(::write(done[1], &byte, 1) == 1);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  CHECK(folder.content("out") == "slow");
  CHECK(folder.files() == 1);
  for (const int end : {ready[0], ready[1], done[0], done[1]}) ::close(end);
}

TEST_CASE("A full disk and a read-only one leave the old file and no temporary") {
  const scratch_folder folder;
  const std::string disk = folder.path("disk"), out = disk + "/out";
  fs::create_directory(disk);
  const std::string said = in_child([&]() -> std::string {
    // A disk of 64 kB, seen by this process alone.
    if (::unshare(::geteuid() == 0 ? CLONE_NEWNS : CLONE_NEWUSER | CLONE_NEWNS) != 0 ||
        ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("none", disk.c_str(), "tmpfs", 0, "size=64k") != 0)
      return "";
    std::string all;
    fw::save_text(out, old_content);
    const auto note = [&] {
      try {
        save(out);
      } catch (const fw::file_error& e) {
        all += std::string(e.what()) + "\n";
      }
      all += fw::read_text(out) + "\n";
      all += fw::text(std::distance(fs::directory_iterator(disk), {}), "\n");
    };
    note();
    if (::mount("none", disk.c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr) != 0) return "cannot be remounted";
    note();
    return all;
  });
  if (said.empty()) {
    WARN("no disk can be mounted here: a full one and a read-only one are not tested");
    return;
  }
  const std::string start = "safetensors: " + out + ": ", rest = old_content + "\n1\n";
  CHECK(said == start + "cannot be written: No space left on device; nothing was saved, an old file is as it was\n" +
                    rest + start + "cannot be written: Read-only file system\n" + rest);
}

TEST_CASE("A folder that may not be written to refuses a save, which leaves the old file") {
  const setting s;
  const fs::path folder = fs::path(s.out).parent_path();
  fs::permissions(folder, fs::perms(0555));
  const std::string said = in_child([&]() -> std::string {
    if (::geteuid() == 0 && ::setuid(65534) != 0) return "cannot become another user";
    save(s.out);
    return "was saved";
  });
  fs::permissions(folder, fs::perms::owner_all);
  CHECK(said == "safetensors: " + s.out + ": cannot be written: Permission denied");
  CHECK((s.folder.content("out") == old_content));
  CHECK(s.other_files() == 0);
}
