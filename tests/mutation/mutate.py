#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Changes one place of the library at a time and sees whether the tests notice.

A mutant is one small change of the code (not of comments, texts or includes): a comparison, an operator, a number, a
dropped statement, a negated condition, fresh for continued, min for max, two arguments swapped. Of all of them a seeded
sample is taken. Each is built into the test programs that include its header, those nearest to it first, and lives if
all of them pass. Programs are compiled in a copy of the source tree, which every worker has to itself.

  mutate.py --count 300                        300 mutants, as far as their results are not yet in the file
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
        self.tree, self.build = folder / "tree", folder / "build"
        if self.tree.exists():
            shutil.rmtree(self.tree)
        shutil.copytree(SOURCE, self.tree, ignore=shutil.ignore_patterns("build", ".git"))
        self.environment = dict(os.environ, CCACHE_DISABLE="1", OMP_WAIT_POLICY="passive", OMP_NUM_THREADS="2")
        self.run(["cmake", "-S", self.tree, "-B", self.build, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release",
                  f"-DCMAKE_CXX_FLAGS_RELEASE={optimisation}", "-DFORMWORK_NATIVE=ON", "-DFORMWORK_BUILD_TESTS=ON",
                  "-DFORMWORK_BUILD_BENCHMARKS=OFF", "-DFORMWORK_BUILD_EXAMPLES=OFF"], 600, check=True)

    def run(self, command, limit, check=False):
        """Whether it succeeded; None when it took too long. A mutant may ask for memory without end."""
        try:
            return subprocess.run([str(c) for c in command], cwd=self.tree, env=self.environment, timeout=limit, check=check,
                                  preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30)),
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0
        except subprocess.TimeoutExpired:
            return None

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
    for i in wanted:
        mutant, begin = mutants[i], time.time()
        verdict, by = shop.verdict(mutant, programs_for(mutant, programs)[:options.programs], options.limit)
        with path.open("a", newline="") as file:
            csv.writer(file).writerow([i, mutant.file, mutant.line, mutant.kind, *shown(mutant), verdict, by,
                                       round(time.time() - begin)])
        print(f"{i}: {mutant.file}:{mutant.line} {mutant.kind}: {verdict} ({by})", flush=True)


if __name__ == "__main__":
    main()
