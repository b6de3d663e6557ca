// SPDX-License-Identifier: MIT
//
//   measure <runs> <limit> <yardstick command...> -- <measured command...>
//
// Runs both commands in turn and compares the medians of their processor time and of their peak memory, children
// included. Exits with 1 where the second takes more than <limit> times the first.
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <vector>

namespace {

struct cost {
  double seconds, megabytes;
};

cost run(const std::vector<char*>& command) {
  // The middle process's only children are the command's, so what it waits for is theirs alone.
  int report[2];
  if (pipe(report) != 0) std::exit(2);
  const pid_t middle = fork();
  if (middle == 0) {
    const pid_t child = fork();
    if (child == 0) {
      execvp(command[0], command.data());
      std::perror(command[0]);
      _exit(127);
    }
    int status = 0;
    waitpid(child, &status, 0);
    rusage used{};
    getrusage(RUSAGE_CHILDREN, &used);
    const auto seconds = [](timeval t) { return double(t.tv_sec) + 1e-6 * double(t.tv_usec); };
    const cost result{seconds(used.ru_utime) + seconds(used.ru_stime), double(used.ru_maxrss) / 1024};
    const bool written = write(report[1], &result, sizeof result) == ssize_t(sizeof result);
    _exit(written && WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : 1);
  }
  cost result{};
  const bool got = read(report[0], &result, sizeof result) == ssize_t(sizeof result);
  int status = 0;
  waitpid(middle, &status, 0);
  close(report[0]);
  close(report[1]);
  if (!got || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    std::fprintf(stderr, "the command failed: %s ... %s\n", command[0], command[command.size() - 2]);
    std::exit(2);
  }
  return result;
}

double median(const std::vector<cost>& costs, double cost::*what) {
  std::vector<double> values;
  for (const cost& c : costs) values.push_back(c.*what);
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::vector<char*>> commands(1);
  for (int i = 3; i < argc; ++i)
    if (std::string_view(argv[i]) == "--")
      commands.emplace_back();
    else
      commands.back().push_back(argv[i]);
  if (commands.size() != 2 || commands[0].empty() || commands[1].empty()) {
    std::fprintf(stderr, "usage: measure <runs> <limit> <yardstick command...> -- <measured command...>\n");
    return 2;
  }
  for (auto& command : commands) command.push_back(nullptr);

  std::vector<cost> yardstick, measured;
  for (int r = 0; r < std::atoi(argv[1]); ++r) {
    yardstick.push_back(run(commands[0]));
    measured.push_back(run(commands[1]));
  }
  const double limit = std::atof(argv[2]);
  const double time = median(measured, &cost::seconds) / median(yardstick, &cost::seconds);
  const double memory = median(measured, &cost::megabytes) / median(yardstick, &cost::megabytes);
  std::printf(
      "yardstick %.2f s %.0f MB, measured %.2f s %.0f MB: %.2f times the time, %.2f times the memory (limit %.1f)\n",
      median(yardstick, &cost::seconds), median(yardstick, &cost::megabytes), median(measured, &cost::seconds),
      median(measured, &cost::megabytes), time, memory, limit);
  return time <= limit && memory <= limit ? 0 : 1;
}
