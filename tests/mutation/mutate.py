#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Changes one place of the library at a time and sees whether the tests notice.

A mutant is one small change of the code (not of comments, texts or includes): a comparison, an operator, a number, a
dropped statement, a negated condition, fresh for continued, min for max, two arguments swapped. Of all of them a seeded
sample is taken. Each is built into the test programs that include its header, those nearest to it first, and lives if
all of them pass. Programs are compiled in a copy of the source tree, which every worker has to itself.

Compiling takes nearly all of the time, so --switched writes all mutants into the tree at once, each of them an expression
that asks the environment whether it is in force (switch.hpp): a program is compiled once and run for every mutant. A
mutant that cannot be written so, or whose place no program runs (the compiler evaluates it), is left to the slow way, one build
a mutant. Where the compiler evaluates some of a place's uses, those stay unchanged: --numbers asks the slow way again.

  mutate.py --count 300 --switched             300 mutants the quick way, as far as their results are not yet in the file
  mutate.py --count 300                        the rest of them, one build each
  mutate.py --count 300 --worker 0/2           half of them; another process takes --worker 1/2
  mutate.py --count 300 --list                 what they are
  mutate.py --count 300 --show 17              one of them as a line before and after
  mutate.py --report                           what is in the file of results
"""
import argparse
import collections
import csv
import os
import pathlib
import random
import re
import resource
import shutil
import subprocess
import time

SOURCE = pathlib.Path(__file__).resolve().parents[2]
COLUMNS = ["number", "file", "line", "kind", "before", "after", "verdict", "by", "seconds"]
Mutant = collections.namedtuple("Mutant", "file line kind start end text")

OPERATORS = {
    "comparison": [(" < ", " <= "), (" <= ", " < "), (" > ", " >= "), (" >= ", " > "), (" == ", " != "), (" != ", " == ")],
    "arithmetic": [(" + ", " - "), (" - ", " + "), (" * ", " / "), (" / ", " * "), (" % ", " / "), (" += ", " -= "),
                   (" -= ", " += "), (" *= ", " /= ")],
    "logic": [(" && ", " || "), (" || ", " && ")],
    "choice": [("start::fresh", "start::continued"), ("start::continued", "start::fresh"),
               ("direction::forward", "direction::backward"), ("direction::backward", "direction::forward"),
               ("min(", "max("), ("max(", "min("), ("min<", "max<"), ("max<", "min<")],
}
# Tests whose names do not say that they are a header's nearest.
NEAREST = {"attend_mixed_forward": "talking_heads_bits", "attend_mixed_backward": "talking_heads_accuracy",
           "mixed_gradient_sums": "talking_heads_accuracy", "mix_heads": "talking_heads_bits", "attend_strip": "attend_bits",
           "panel": "product", "tile": "product", "block_product": "product", "epilogue": "product",
           "scan_tables": "scan", "transition": "recur", "transform": "dropout"}
DECLARATION = re.compile(
    r"(return|using|static|template|struct|class|friend|namespace|else|case|break|continue|default|const|constexpr|auto"
    r"|typename|requires|explicit|alignas|virtual|inline|delete|throw|typedef|operator|public|private|goto|do|while|for|if"
    r"|switch)\b"
    r"|[\w:<>,\s*&]*[\w>*&]\s+[*&]?\w+\s*(=|;|\(|\{|,|\[)")


def closing(text, opening):
    """Where the parenthesis at `opening` closes."""
    depth = 0
    for i in range(opening, len(text)):
        depth += (text[i] in "([{") - (text[i] in ")]}")
        if depth == 0:
            return i
    return len(text)


def masked(source):
    """The source with everything blank that is not code: comments, texts, directives, what an error says."""
    def blank(match):
        return re.sub(r"[^\n]", " ", match.group(0))

    # A text becomes quotes around blanks, so that what an error says can still be found.
    parts = r"//[^\n]*|/\*.*?\*/|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])'|^[ \t]*#(?:[^\n]*\\\n)*[^\n]*"
    text = re.sub(parts, lambda m: '"' + " " * (len(m.group(0)) - 2) + '"' if m.group(0)[0] == '"' else blank(m), source,
                  flags=re.S | re.M)
    for match in re.finditer(r"\b(require|static_assert)\(", text):
        end = closing(text, match.end() - 1)
        said = match.start() if match.group(1) == "static_assert" else text.find('"', match.end(), end)
        if said >= 0:
            text = text[:said] + re.sub(r"[^\n]", " ", text[said:end]) + text[end:]
    return re.sub(r"^.*\b(concept|requires|template|operator)\b.*$", blank, text, flags=re.M)


def mutants_of(file):
    source = (SOURCE / file).read_text()
    code = masked(source)

    def at(kind, start, end, text):
        return Mutant(file, source.count("\n", 0, start) + 1, kind, start, end, text)

    for kind, pairs in OPERATORS.items():
        for old, new in pairs:
            for m in re.finditer((r"(?<![\w.])" if old[0] != " " else "") + re.escape(old), code):
                yield at(kind, m.start(), m.end(), new)
    for m in re.finditer(r"(?<![\w.<'])\d+(?![\w.>'])", code):
        yield at("number", m.start(), m.end(), str(int(m.group(0)) + 1))
        if m.group(0) != "0":
            yield at("number", m.start(), m.end(), str(int(m.group(0)) - 1))
    for m in re.finditer(r"\bif \(", code):
        end = closing(code, m.end() - 1)
        yield at("condition", m.end() - 1, end + 1, "(!" + source[m.end() - 1:end + 1] + ")")
    for m in re.finditer(r"\b(\w+)\(([\w.]+), ([\w.]+)(?=[,)])", code):
        if m.group(2) != m.group(3) and not m.group(2)[0].isdigit():
            yield at("arguments", m.start(2), m.end(3), m.group(3) + ", " + m.group(2))
    before = "{"
    for m in re.finditer(r"^[^\n]*$", code, flags=re.M):
        line = m.group(0).strip()
        whole = line.endswith(";") and line[0].isalpha() and before[-1] in ";{}" and line.count("(") == line.count(")")
        if whole and not DECLARATION.match(line):
            yield at("statement", m.start() + len(m.group(0)) - len(m.group(0).lstrip()), m.end(), ";")
        before = line or before


def sample(folders, seed, count):
    every = [m for folder in folders for f in sorted((SOURCE / "include/formwork" / folder).glob("*.hpp"))
             for m in mutants_of(str(f.relative_to(SOURCE)))]
    random.Random(seed).shuffle(every)
    return every[:count], len(every)


def shown(mutant):
    """Its first line before and after."""
    source = (SOURCE / mutant.file).read_text()
    changed = source[:mutant.start] + mutant.text + source[mutant.end:]
    return source.split("\n")[mutant.line - 1].strip(), changed.split("\n")[mutant.line - 1].strip()


def included(file, seen):
    """All files of ours that a file includes."""
    for name in re.findall(r"^#include [<\"]([\w/.]+)[>\"]", file.read_text(), flags=re.M):
        for root in ("include", "tests"):
            path = SOURCE / root / name
            if path.is_file() and path not in seen:
                seen.add(path)
                included(path, seen)
    return seen


def test_programs():
    """Every test and what it includes."""
    return {test: included(test, set()) for test in sorted(SOURCE.glob("tests/*/*_test.cpp"))}


def switched(number, mutant, source):
    """The mutant as code that is changed only while its number is chosen: (start, end, text), or None."""
    old, on = source[mutant.start:mutant.end], f"::mutation::on<{number}>()"
    if mutant.kind in ("comparison", "arithmetic"):
        return mutant.start, mutant.end, f"{old}::mutation::infix<{number}>{old}"
    if mutant.kind == "number":
        return mutant.start, mutant.end, f"::mutation::number<{number}>({old}, {mutant.text})"
    if mutant.kind == "condition":
        return mutant.start, mutant.end, f"({on} != bool{old})"
    if mutant.kind == "statement":
        return mutant.start, mutant.end, f"if (!{on}) {old}"
    if mutant.kind == "arguments":
        a, b = old.split(", ")
        return mutant.start, mutant.end, f"({on} ? {b} : {a}), ({on} ? {a} : {b})"
    if mutant.kind == "choice" and old[:-1] in ("min", "max"):
        start = mutant.start - 5 * (source[mutant.start - 5:mutant.start] == "std::")
        name = "least" if old[:-1] == "min" else "greatest"
        return start, mutant.end, f"::mutation::{name}<{number}" + (">(" if old[-1] == "(" else ", ")
    if mutant.kind == "choice":
        return mutant.start, mutant.end, f"({on} ? {mutant.text} : {old})"
    return None


def programs_for(mutant, programs):
    """The tests that include the mutant's header: those named like it, then its folder's, then others; small ones first."""
    header = SOURCE / mutant.file
    words = set(header.stem.split("_"))

    def cost(test):
        alike = len(words & set(test.stem.split("_"))) + 9 * (test.stem == NEAREST.get(header.stem, "") + "_test")
        size = sum(f.stat().st_size for f in programs[test] | {test})
        return (test.parent.name != header.parent.name, -alike, size)

    return sorted((t for t, files in programs.items() if header in files), key=cost)


class Workshop:
    """A copy of the tree, configured once."""

    def __init__(self, folder, optimisation):
        self.tree, self.build, self.changed = folder / "tree", folder / "build", set()
        if self.tree.exists():
            shutil.rmtree(self.tree)
        shutil.copytree(SOURCE, self.tree, ignore=shutil.ignore_patterns("build", ".git"))
        self.environment = dict(os.environ, CCACHE_DISABLE="1", OMP_WAIT_POLICY="passive", OMP_NUM_THREADS="2")
        self.run(["cmake", "-S", self.tree, "-B", self.build, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release",
                  f"-DCMAKE_CXX_FLAGS_RELEASE={optimisation}", "-DFORMWORK_NATIVE=ON", "-DFORMWORK_BUILD_TESTS=ON",
                  "-DFORMWORK_BUILD_BENCHMARKS=OFF", "-DFORMWORK_BUILD_EXAMPLES=OFF"], 600, check=True)

    def run(self, command, limit, check=False, **environment):
        """Whether it succeeded; None when it took too long. A mutant may ask for memory without end."""
        try:
            return subprocess.run([str(c) for c in command], cwd=self.tree, env=self.environment | environment, timeout=limit, check=check,
                                  preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30)),
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0
        except subprocess.TimeoutExpired:
            return None

    def write_switched(self, mutants):
        """The tree with all of these {number: mutant} in it, except those inside others; returns the numbers of those it has."""
        written, by_file = set(), {file: [] for file in self.changed}
        for number, mutant in mutants.items():
            by_file.setdefault(mutant.file, []).append(number)
        self.changed = set(by_file)
        shutil.copy(SOURCE / "tests/mutation/switch.hpp", self.tree / "include/mutation_switch.hpp")
        for file, numbers in by_file.items():
            text = source = (SOURCE / file).read_text()
            before = len(source)
            edits = [(*edit, n) for n in numbers if (edit := switched(n, mutants[n], source))]
            for start, end, new, number in sorted(edits, key=lambda e: (-e[1], -e[0])):
                if end <= before:
                    text, before = text[:start] + new + text[end:], start
                    written.add(number)
            if edits:
                text = "#include <mutation_switch.hpp>" + text[text.index("\n"):]  # for the licence's line
            if text != (self.tree / file).read_text():
                (self.tree / file).write_text(text)
        return written

    def build_switched(self, target, mutants):
        """Builds with as many of the mutants as compile; returns the numbers of those in the program."""
        mutants = dict(mutants)
        while True:
            written = self.write_switched(mutants)
            made = subprocess.run(["cmake", "--build", str(self.build), "--target", target, "-j", "1"], cwd=self.tree,
                                  env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            if made.returncode == 0:
                return written
            wrong = {int(n) for n in re.findall(r"mutation::\w+<(?:[\w:]+, )?(\d+)", made.stdout)} & written
            wrong |= {n for n in written for line in re.findall(re.escape(mutants[n].file) + r":(\d+):\d+: error", made.stdout)
                      if int(line) == mutants[n].line}
            wrong = wrong or {n for n in written if f"{mutants[n].file}:{mutants[n].line}:" in made.stdout}
            if not wrong:
                raise RuntimeError(made.stdout[-4000:])
            print(f"{target}: cannot be switched: {sorted(wrong)}", flush=True)
            for n in wrong:
                del mutants[n]

    def run_switched(self, mutants, programs, limit, tried_path, record):
        """One program after the other, the one that most of the mutants still wait for first.

        The file of what was tried says of each mutant and program whether the mutant was met, not met, or not in it.
        """
        name_of = {t: t.parent.name + "/" + t.stem.removesuffix("_test") for tests in programs.values() for t in tests}
        tried = collections.defaultdict(dict)
        if tried_path.exists():
            for number, name, how in csv.reader(tried_path.open()):
                tried[int(number)][name] = how
        met_path = self.build / "met"
        alive = set(mutants)
        while True:
            waiting = {n: [t for t in programs[n] if name_of[t] not in tried[n]] for n in alive}
            first = collections.Counter(tests[0] for tests in waiting.values() if tests).most_common(1)
            if not first:
                break
            test, name = first[0][0], name_of[first[0][0]]
            here = {n: mutants[n] for n in alive if test in waiting[n]}
            begin = time.time()
            written = self.build_switched("test_" + name.replace("/", "_"), here)
            built = time.time()
            command = [self.build / "tests" / test.parent.name / test.stem, "--abort"]
            if not self.run(command, limit):
                raise RuntimeError(name + " does not pass by itself")
            usual, before = time.time() - built, len(alive)
            for n in sorted(here):
                tried[n][name] = "not in it"
                if n in written:
                    met_path.unlink(missing_ok=True)
                    start = time.time()
                    chosen = {"FORMWORK_MUTANT": str(n), "FORMWORK_MET": str(met_path)}
                    passed = self.run(command, min(limit, 20 + 10 * usual), **chosen)
                    if not passed:
                        record(n, "hangs" if passed is None else "killed", name, time.time() - start)
                        alive.remove(n)
                        continue
                    tried[n][name] = "met" if met_path.exists() else "not met"
                with tried_path.open("a", newline="") as file:
                    csv.writer(file).writerow([n, name, tried[n][name]])
            print(f"{name}: {built - begin:.0f} s to build, {usual:.1f} s to run; {before - len(alive)} of {len(written)} mutants "
                  f"killed, {len(alive)} alive", flush=True)
        for n in sorted(alive):
            seen = [tried[n][name_of[t]] for t in programs[n]]
            if "met" in seen and "not in it" not in seen:
                record(n, "survived", f"{seen.count('met')} programs", 0)

    def verdict(self, mutant, tests, limit):
        path = self.tree / mutant.file
        source = (SOURCE / mutant.file).read_text()
        path.write_text(source[:mutant.start] + mutant.text + source[mutant.end:])
        try:
            for test in tests:
                name = test.parent.name + "/" + test.stem.removesuffix("_test")
                target = "test_" + name.replace("/", "_")
                if not self.run(["cmake", "--build", self.build, "--target", target, "-j", "1"], 1800):
                    return "does not compile", name
                passed = self.run([self.build / "tests" / test.parent.name / test.stem, "--abort"], limit)
                if not passed:
                    return "hangs" if passed is None else "killed", name
            return "survived", f"{len(tests)} programs"
        finally:
            path.write_text(source)


def report(results):
    verdicts = collections.Counter(r["verdict"] for r in results.values())
    dead, alive = verdicts["killed"] + verdicts["hangs"], verdicts["survived"]
    print(f"{len(results)} mutants: {verdicts['does not compile']} do not compile; of the others {dead} killed "
          f"({verdicts['hangs']} by a time-out), {alive} survived: {100 * dead / max(dead + alive, 1):.1f} %")
    for r in results.values():
        if r["verdict"] == "survived":
            print(f"  {r['number']}: {r['file']}:{r['line']} {r['kind']}\n    - {r['before']}\n    + {r['after']}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folders", nargs="+", default=["kernel", "position", "tape"], help="of include/formwork")
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--worker", default="0/1", help="i/n: every n-th mutant from the i-th")
    parser.add_argument("--work", type=pathlib.Path, default=SOURCE / "build/mutation", help="copies, builds and results")
    parser.add_argument("--results", type=pathlib.Path, help="default: WORK/results.csv; lines are added to it")
    parser.add_argument("--programs", type=int, default=4, help="at most so many tests a mutant")
    parser.add_argument("--limit", type=int, default=300, help="seconds for one test program")
    parser.add_argument("--optimisation", default="-O1")
    parser.add_argument("--numbers", type=int, nargs="+", help="only these mutants, again if need be")
    parser.add_argument("--switched", action="store_true", help="many mutants in one program")
    parser.add_argument("--without", nargs="+", default=[], help="tests that take too long to compile: folder/name_test")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--show", type=int)
    parser.add_argument("--report", action="store_true")
    options = parser.parse_args()

    path = options.results or options.work / "results.csv"
    done = {}
    if path.exists():
        with path.open() as file:
            done = {int(r["number"]): r for r in csv.DictReader(file)}
    if options.report:
        return report(done)
    mutants, available = sample(options.folders, options.seed, options.count)
    if options.list or options.show is not None:
        for i, m in enumerate(mutants):
            if options.show in (None, i):
                print(f"{i}: {m.file}:{m.line} {m.kind}\n    - %s\n    + %s" % shown(m))
        return print(f"{len(mutants)} of {available}")

    index, workers = map(int, options.worker.split("/"))
    wanted = options.numbers or [i for i in range(index, len(mutants), workers) if i not in done]
    programs = test_programs()
    shop = Workshop(options.work / f"worker_{index}", options.optimisation)
    if not path.exists():
        path.write_text(",".join(COLUMNS) + "\n")

    def record(i, verdict, by, seconds):
        mutant = mutants[i]
        with path.open("a", newline="") as file:
            csv.writer(file).writerow([i, mutant.file, mutant.line, mutant.kind, *shown(mutant), verdict, by, round(seconds)])
        print(f"{i}: {mutant.file}:{mutant.line} {mutant.kind}: {verdict} ({by})", flush=True)

    def programs_of(i):
        usable = (t for t in programs_for(mutants[i], programs) if f"{t.parent.name}/{t.stem}" not in options.without)
        return list(usable)[:options.programs]

    if options.switched:
        return shop.run_switched({i: mutants[i] for i in wanted}, {i: programs_of(i) for i in wanted}, options.limit,
                                 options.work / "switched.csv", record)
    for i in wanted:
        begin = time.time()
        verdict, by = shop.verdict(mutants[i], programs_of(i), options.limit)
        record(i, verdict, by, time.time() - begin)


if __name__ == "__main__":
    main()
