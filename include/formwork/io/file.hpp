// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/error.hpp>

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace formwork::inline FORMWORK_ABI {

/// What a file says, fit for one line of an error: control characters written as \xNN, at most `limit` bytes.
inline std::string one_line(std::string_view s, std::size_t limit = 80) {
  const bool cut = s.size() > limit;
  if (cut) {
    while (limit > 0 && (static_cast<unsigned char>(s[limit]) & 0xC0) == 0x80) --limit;  // whole UTF-8 characters
    s = s.substr(0, limit);
  }
  std::string r;
  for (const char c : s) {
    const auto code = static_cast<unsigned>(static_cast<unsigned char>(c));
    char escaped[8];
    if (code >= 0x20 && code != 0x7F)
      r += c;
    else if (std::snprintf(escaped, sizeof escaped, "\\x%02x", code) > 0)
      r += escaped;
  }
  return cut ? r + "…" : r;
}

/// A file and what is being done to it: the two things every file error names first.
///
///   load_model: run/model.safetensors: has 12 bytes; needs ...
struct file_site {
  const char* operation;
  std::string path;

  template <class... Part>
  [[noreturn]] void fail(const Part&... part) const {
    throw file_error(text(operation, ": ", one_line(path, std::string::npos), ": ", part...));
  }
  /// Throws file_error with the joined parts unless the condition holds.
  template <class... Part>
  void needs(bool holds, const Part&... part) const {
    if (!holds) [[unlikely]]
      fail(part...);
  }
  /// The same with the system's reason, where a system call has just failed.
  void succeeds(bool done, const char* what, const char* consequence = "") const {
    if (!done) [[unlikely]]
      fail(what, ": ", std::strerror(errno), consequence);
  }
};

/// An open descriptor, closed at the end of the scope.
class descriptor {
 public:
  descriptor() = default;
  explicit descriptor(int number) : number_(number) {}
  descriptor(descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  descriptor& operator=(descriptor&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  ~descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  explicit operator bool() const { return number_ >= 0; }
  int number() const { return number_; }
  int release() { return std::exchange(number_, -1); }

 private:
  int number_ = -1;
};

/// The result of a system call that is made again for as long as a signal interrupts it.
template <class Call>
auto uninterrupted(Call&& call) {
  while (true) {
    const auto result = call();
    if (result >= 0 || errno != EINTR) return result;
  }
}

/// Which files an input_file takes: only those whose length is known, or pipes as well.
enum class readable { regular, streams };

/// A file, or bytes in memory, open for reading at any place.
///
/// Throws    file_error for a file that is missing, a folder, a device, empty (if regular) or unreadable.
class input_file {
 public:
  input_file(const char* operation, const std::string& path, readable which = readable::regular)
      : site_{operation, path} {
    site_.needs(!path.empty() && path.find('\0') == std::string::npos, "is no file name; needs one");
    struct stat found;
    site_.succeeds(::stat(path.c_str(), &found) == 0, "cannot be read");
    site_.needs(!S_ISDIR(found.st_mode), "is a folder; needs a file");
    const bool stream = S_ISFIFO(found.st_mode) || S_ISSOCK(found.st_mode);
    site_.needs(S_ISREG(found.st_mode) || (stream && which == readable::streams), "is not a regular file; needs one");
    file_ = descriptor(uninterrupted([&] { return ::open(path.c_str(), O_RDONLY | O_CLOEXEC); }));
    site_.succeeds(bool(file_), "cannot be read");
    site_.succeeds(::fstat(file_.number(), &found) == 0, "cannot be read");
    size_ = static_cast<std::uint64_t>(found.st_size);
    site_.needs(stream || size_ > 0, "is empty; needs a file with content");
  }
  /// The bytes must live as long as this; `name` stands for the path in errors.
  input_file(const char* operation, const std::string& name, std::span<const std::byte> bytes)
      : site_{operation, name}, memory_(bytes), size_(bytes.size()) {}

  const file_site& site() const { return site_; }
  std::uint64_t size() const { return size_; }

  /// Exactly `bytes` bytes from `offset`.
  void read(std::uint64_t offset, void* to, std::size_t bytes) const {
    auto* at = static_cast<std::byte*>(to);
    while (bytes > 0) {
      const ssize_t got = some(offset, at, bytes);
      site_.succeeds(got >= 0, "cannot be read");
      site_.needs(got > 0, "ends at byte ", offset, "; needs ", bytes, " more: it was changed while being read");
      at += got;
      offset += static_cast<std::uint64_t>(got);
      bytes -= static_cast<std::size_t>(got);
    }
  }

  /// Everything from where the last call ended.
  std::string read_all() const {
    std::string content(static_cast<std::size_t>(size_) + 1, '\0');
    std::size_t filled = 0;
    while (true) {
      if (filled == content.size()) content.resize(2 * content.size());
      const ssize_t got =
          uninterrupted([&] { return ::read(file_.number(), content.data() + filled, content.size() - filled); });
      site_.succeeds(got >= 0, "cannot be read");
      if (got == 0) break;
      filled += static_cast<std::size_t>(got);
    }
    content.resize(filled);
    return content;
  }

 private:
  ssize_t some(std::uint64_t offset, std::byte* to, std::size_t bytes) const {
    if (file_) return uninterrupted([&] { return ::pread(file_.number(), to, bytes, static_cast<off_t>(offset)); });
    if (offset >= size_) return 0;
    const auto count = std::min(bytes, static_cast<std::size_t>(size_ - offset));
    std::memcpy(to, memory_.data() + offset, count);
    return static_cast<ssize_t>(count);
  }

  file_site site_;
  descriptor file_;
  std::span<const std::byte> memory_;
  std::uint64_t size_ = 0;
};

/// The whole content of a file or a pipe.
///
/// Throws    file_error for a file that is missing, a folder, empty or unreadable.
inline std::string read_text(const std::string& path) {
  const input_file file("read_text", path, readable::streams);
  std::string content = file.read_all();
  file.site().needs(!content.empty(), "is empty; needs a file with content");
  return content;
}

/// A file being written, seen by nobody before commit(): bytes go to a temporary name beside the target, are synced, and the
/// temporary is renamed onto the target. Without commit() the temporary is removed and the target is as it was.
///
/// A killed process leaves its temporary, ".<name>.<process>.<number>.tmp"; the next save of that name removes it. A link is
/// followed. A target that is no regular file (a pipe, a device) is written directly.
///
/// Throws    file_error with the system's reason: a missing folder, no permission, a full disk.
class output_file {
 public:
  output_file(const char* operation, const std::string& path) : site_{operation, path} {
    site_.needs(!path.empty() && path.back() != '/' && path.find('\0') == std::string::npos,
                "is no file name; needs one");
    buffer_.reserve(buffer_size);
    struct stat found;
    const bool exists = ::stat(path.c_str(), &found) == 0;
    site_.succeeds(exists || errno == ENOENT || errno == ENOTDIR, "cannot be written");
    site_.needs(!exists || !S_ISDIR(found.st_mode), "is a folder; needs a file name");
    if (exists && !S_ISREG(found.st_mode)) {
      file_ = descriptor(uninterrupted([&] { return ::open(path.c_str(), O_WRONLY | O_CLOEXEC); }));
    } else {
      resolve();
      remove_leftovers();
      open_temporary(exists ? found.st_mode & 0777 : 0666);
      if (exists && file_) (void)!::fchmod(file_.number(), found.st_mode & 07777);  // what the umask took; not more
    }
    site_.succeeds(bool(file_), "cannot be written");
  }
  output_file(const output_file&) = delete;
  output_file& operator=(const output_file&) = delete;
  ~output_file() {
    if (!temporary_.empty()) ::unlink(temporary_.c_str());
  }

  const file_site& site() const { return site_; }

  void write(const void* from, std::size_t bytes) {
    const auto* first = static_cast<const char*>(from);
    if (buffer_.size() + bytes > buffer_size) {
      send(buffer_.data(), buffer_.size());
      buffer_.clear();
    }
    if (bytes >= buffer_size)
      send(first, bytes);
    else
      buffer_.insert(buffer_.end(), first, first + bytes);
  }
  void write(std::string_view s) { write(s.data(), s.size()); }

  /// Everything is on the disk under the target's name when this returns.
  void commit() {
    send(buffer_.data(), buffer_.size());
    buffer_.clear();
    site_.succeeds(sync(file_), "cannot be synced", unchanged());
    if (temporary_.empty()) return site_.succeeds(::close(file_.release()) == 0, "cannot be written");

    // A folder that may be written but not read cannot be synced.
    const descriptor folder(open_folder());
    site_.succeeds(folder || errno == EACCES, "its folder cannot be opened", unchanged());
    // The file stays open, and so locked, until it has its name: after the sync its closing has nothing to report.
    site_.succeeds(uninterrupted([&] { return ::rename(temporary_.c_str(), target_.c_str()); }) == 0,
                   "cannot be replaced", unchanged());
    temporary_.clear();
    site_.succeeds(!folder || sync(folder), "its folder cannot be synced",
                   "; the file is new and whole, but a power failure may bring the old one back");
  }

 private:
  static constexpr std::size_t buffer_size = std::size_t(1) << 18;

  /// Sets the target, which a link may name before it exists, and its folder.
  void resolve() {
    target_ = site_.path;
    char link[4096];
    for (int hops = 0; hops < 40; ++hops) {
      const std::size_t slash = target_.rfind('/');
      folder_ = slash == std::string::npos ? "." : slash == 0 ? "/" : target_.substr(0, slash);
      const ssize_t length = ::readlink(target_.c_str(), link, sizeof link);
      site_.succeeds(length >= 0 || errno == EINVAL || errno == ENOENT || errno == ENOTDIR, "cannot be written");
      if (length <= 0) break;
      const std::string next(link, static_cast<std::size_t>(length));
      target_ = next[0] == '/' ? next : folder_ + "/" + next;
    }
    struct stat found;
    site_.succeeds(::stat(folder_.c_str(), &found) == 0, "its folder cannot be used", "; needs an existing folder");
    site_.needs(S_ISDIR(found.st_mode), "cannot be written: ", one_line(folder_, std::string::npos),
                " is not a folder");
    stem_ = "." + target_.substr(target_.rfind('/') + 1, 200) + ".";  // npos + 1 is 0
  }

  int open_folder() const {
    return uninterrupted([&] { return ::open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); });
  }

  /// Whoever writes a temporary holds its lock, which ends with the process.
  static bool lock(const descriptor& file) {
    return uninterrupted([&] { return ::flock(file.number(), LOCK_EX | LOCK_NB); }) == 0;
  }

  /// "<process>.<number>.tmp" after the stem.
  bool is_temporary(std::string_view name) const {
    if (!name.starts_with(stem_) || !name.ends_with(".tmp")) return false;
    name = name.substr(stem_.size(), name.size() - stem_.size() - 4);
    constexpr std::string_view digits = "0123456789";
    const std::size_t dot = name.find_first_not_of(digits);
    return dot != 0 && dot != name.npos && name[dot] == '.' && dot + 1 < name.size() &&
           name.find_first_not_of(digits, dot + 1) == name.npos;
  }

  void remove_leftovers() const {
    DIR* listing = ::opendir(folder_.c_str());
    if (!listing) return;
    while (const dirent* one = ::readdir(listing)) {
      if (!is_temporary(one->d_name)) continue;
      const std::string path = folder_ + "/" + one->d_name;
      const descriptor file(::open(path.c_str(), O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
      if (file && lock(file)) ::unlink(path.c_str());
    }
    ::closedir(listing);
  }

  void open_temporary(mode_t mode) {
    static std::atomic<unsigned> number{0};
    while (true) {
      temporary_ = text(folder_, "/", stem_, ::getpid(), ".", number++, ".tmp");
      file_ = descriptor(
          uninterrupted([&] { return ::open(temporary_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode); }));
      if (!file_ && errno == EEXIST) continue;
      if (!file_) return temporary_.clear();
      // Another save may have taken it for a leftover before it was locked. Where there are no locks, nothing is removed.
      struct stat found;
      const bool taken =
          (!lock(file_) && errno == EWOULDBLOCK) || (::fstat(file_.number(), &found) == 0 && found.st_nlink == 0);
      if (!taken) return;
    }
  }

  void send(const char* from, std::size_t bytes) {
    while (bytes > 0) {
      const ssize_t written = uninterrupted([&] { return ::write(file_.number(), from, bytes); });
      site_.succeeds(written >= 0, "cannot be written", unchanged());
      from += written;
      bytes -= static_cast<std::size_t>(written);
    }
  }

  static bool sync(const descriptor& file) {
    const int done = uninterrupted([&] { return ::fsync(file.number()); });
    return done == 0 || errno == EINVAL || errno == ENOTSUP || errno == EROFS;  // not a thing to sync
  }

  const char* unchanged() const { return temporary_.empty() ? "" : "; nothing was saved, an old file is as it was"; }

  file_site site_;
  std::string target_, folder_, stem_, temporary_;
  descriptor file_;
  std::vector<char> buffer_;
};

/// Tells before a long run what would make its save fail: a missing folder, no permission, a folder of that name. Changes
/// nothing but removes what a killed save left.
///
/// Throws    as output_file.
inline void require_writable(const std::string& path) { output_file("save", path); }

/// Saves a text under a name, atomically.
///
/// Throws    as output_file.
inline void save_text(const std::string& path, std::string_view content) {
  output_file file("save_text", path);
  file.write(content);
  file.commit();
}

}  // namespace formwork
