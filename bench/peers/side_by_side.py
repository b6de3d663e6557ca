#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs our benchmarks and PyTorch's in turn on one pinned core, in both orders, and prints how much faster ours is.

    bench/peers/side_by_side.py build/release/bench                 every row that PyTorch has too
    bench/peers/side_by_side.py build/release/bench/product_bench --rows 'product/nn' --svg products.svg

PyTorch is timed as its users run it (eager), with an allocator told to keep memory between steps where a row allocates much
(a whole training step), and compiled where torch.compile can do something; the ratio is against its fastest way. Above 1
ours is faster. All numbers are medians over the rounds, and the range is that of single rounds.
"""
import argparse
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
# What glibc's malloc otherwise returns to the system after every step.
KEEP = {"MALLOC_MMAP_THRESHOLD_": str(1 << 30), "MALLOC_TRIM_THRESHOLD_": str(1 << 34), "MALLOC_TOP_PAD_": str(1 << 28)}
WAYS = {"eager": {}, "keeping": KEEP, "compiled": KEEP}


def fail(message):
    sys.exit(f"side_by_side: {message}")


def executables(path):
    path = pathlib.Path(path)
    found = sorted(path.glob("*_bench")) if path.is_dir() else [path]
    if not found or not all(os.access(f, os.X_OK) and f.is_file() for f in found):
        fail(f"{path} holds no bench executables; build them first: cmake --build --preset release")
    return found


def names(bench, pattern):
    listed = subprocess.run([bench, f"--benchmark_filter=^({pattern})", "--benchmark_list_tests"], capture_output=True, text=True)
    return [line for line in listed.stdout.split("\n") if "/" in line]


def run(command, given, environment=()):
    environment = os.environ | {"OMP_NUM_THREADS": str(given.threads)} | dict(environment)
    done = subprocess.run(["taskset", "-c", given.cpus, *map(str, command)], env=environment, capture_output=True, text=True)
    if done.returncode:
        fail(f"{command[0]} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def ours(bench, rows, given, out):
    run([bench, f"--benchmark_filter=^({'|'.join(map(re.escape, rows))})$", f"--benchmark_min_time={given.seconds}",
         f"--benchmark_out={out}", "--benchmark_out_format=json"], given)
    measured = json.loads(out.read_text())["benchmarks"]
    return {r["name"]: r for r in measured if r.get("run_type") != "aggregate"}


def theirs(rows, way, given, out):
    """The rows PyTorch has in this way, and its first line: the version."""
    text = run([sys.executable, HERE / "pytorch.py", "--way", way, "--filter", f"^pytorch/({'|'.join(map(re.escape, rows))})$",
                "--seconds", given.seconds, "--threads", given.threads, "--json", out], given, WAYS[way].items())
    return {name.removeprefix("pytorch/"): r for name, r in json.loads(out.read_text()).items()}, text.split("\n")[0]


def summary(name, mine, peers):
    """One line of the table: medians over rounds, the fastest way of theirs."""
    way = min(peers, key=lambda w: statistics.median(r["ms"] for r in peers[w]))
    ms = [r["ms"] for r in peers[way]]
    us = [r["ms"] for r in mine]
    share = statistics.median(r.get("share_of_peak", r.get("share_of_bandwidth", 0)) for r in mine)
    pairs = sorted(b / a for a, b in zip(us, ms))
    return {"row": name, "ours": statistics.median(us), "share": share, "theirs": statistics.median(ms), "way": way,
            "ratio": statistics.median(ms) / statistics.median(us), "low": pairs[0], "high": pairs[-1],
            "rate": {unit: statistics.median(r[unit] for r in peers[way]) for unit in ("GFLOP/s", "GB/s") if unit in peers[way][0]}}


def bars(lines, title):
    """Ratios as horizontal bars on a logarithmic axis from the slowest to the fastest, a line at 1."""
    import html
    import math
    left, right, step, top = 400, 860, 22, 60
    edge = max(2.0, *(line["high"] for line in lines))
    low = min(0.8, *(line["low"] for line in lines))
    at = lambda ratio: left + (right - left) * math.log(ratio / low) / math.log(edge / low)
    height = top + step * len(lines) + 36
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 940 {height}" font-family="sans-serif" font-size="12">',
           '<rect width="100%" height="100%" fill="white"/>',
           f'<text x="20" y="26" font-size="15" fill="#222">{html.escape(title)}</text>']
    for tick in (0.5, 1, 2, 4, 8, 16, 32, 64):
        if low <= tick <= edge:
            color = "#888" if tick == 1 else "#e4e4e4"
            out.append(f'<line x1="{at(tick):.1f}" y1="{top - 10}" x2="{at(tick):.1f}" y2="{height - 30}" stroke="{color}"/>')
            out.append(f'<text x="{at(tick):.1f}" y="{height - 14}" text-anchor="middle" fill="#444">{tick:g}×</text>')
    for i, line in enumerate(lines):
        y = top + i * step
        begin, end = sorted((at(1), at(line["ratio"])))
        color = "#2a78b8" if line["ratio"] >= 1 else "#c0603a"
        out.append(f'<text x="{left - 10}" y="{y + 12}" text-anchor="end" fill="#222">{html.escape(line["row"])}</text>')
        out.append(f'<rect x="{begin:.1f}" y="{y + 2}" width="{max(end - begin, 1):.1f}" height="{step - 8}" fill="{color}"/>')
        out.append(f'<line x1="{at(line["low"]):.1f}" y1="{y + 9}" x2="{at(line["high"]):.1f}" y2="{y + 9}" stroke="#222"/>')
        out.append(f'<text x="{max(end, at(line["high"])) + 6:.1f}" y="{y + 13}" fill="#222">{line["ratio"]:.2f}</text>')
    return "\n".join(out) + "\n</svg>\n"


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("bench", help="a bench executable, or the folder of all of them")
    options.add_argument("--rows", default="", help="only rows whose names begin with this regular expression")
    options.add_argument("--rounds", type=int, default=3, help="each runs both; the order changes from round to round")
    options.add_argument("--seconds", type=float, default=0.5, help="time spent on a row")
    options.add_argument("--threads", type=int, default=1, help="of both")
    options.add_argument("--cpus", default="1", help="the cores both are pinned to, as taskset names them")
    options.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS), help="how PyTorch is run")
    options.add_argument("--svg", type=pathlib.Path, help="also draw the ratios there")
    options.add_argument("--json", type=pathlib.Path, help="also write the table there")
    given = options.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "rows.json"
        listed = subprocess.run([sys.executable, HERE / "pytorch.py", "--list"], capture_output=True, text=True)
        if listed.returncode:
            fail(f"PyTorch does not start by {sys.executable}:\n{listed.stderr}")
        known = set(listed.stdout.split())
        work = {bench: [n for n in names(bench, given.rows) if n in known] for bench in executables(given.bench)}
        work = {bench: rows for bench, rows in work.items() if rows}
        if not work:
            fail(f"no row begins with {given.rows!r} and is known to PyTorch too")
        mine, peers, version = {}, {}, ""
        for round_ in range(given.rounds):
            for bench, rows in work.items():
                print(f"round {round_ + 1} of {given.rounds}: {bench.name}, {len(rows)} rows", file=sys.stderr, flush=True)
                turns = [None, *given.ways]
                for way in turns if round_ % 2 == 0 else turns[::-1]:
                    if way is None:
                        for name, row in ours(bench, rows, given, out).items():
                            mine.setdefault(name, []).append(row)
                        continue
                    found, said = theirs(rows, way, given, out)
                    version = version or said
                    for name, row in found.items():
                        peers.setdefault(name, {}).setdefault(way, []).append(row)
    lines = [summary(name, rows, peers[name]) for name, rows in mine.items() if name in peers]
    print(version)
    print(f"{'row':<50}{'ours ms':>10}{'share':>7}{'theirs ms':>11}{'rate':>17}  {'its way':<10}{'ratio':>6}   range")
    for line in lines:
        rate = " ".join(f"{value:.4g} {unit}" for unit, value in line["rate"].items())
        print(f"{line['row']:<50}{line['ours']:>10.4g}{line['share']:>7.2f}{line['theirs']:>11.4g}{rate:>17}  {line['way']:<10}"
              f"{line['ratio']:>6.2f}   {line['low']:.2f}–{line['high']:.2f}")
    if given.json:
        given.json.write_text(json.dumps(lines, indent=1), encoding="utf-8")
    if given.svg:
        given.svg.write_text(bars(lines, f"How many times as fast as {version}"), encoding="utf-8")


if __name__ == "__main__":
    main()
