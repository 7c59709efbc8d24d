"""The README's table of figures: measured, all on one machine and in one run, and written by one command.

    python -m bench.table            measure everything (about an hour), and write the table
    python -m bench.table --try      run every benchmark of the table once, small and without a clock; write nothing
    python -m bench.table --check    see that the README has these rows, and say how many are not measured
    python -m bench.table --covered-by FILE    see that ``pytest bench --figures FILE`` had benchmarks for all of them

Figures are those that benchmarks hand over under a key (`figure` in conftest.py).
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
BEGIN, END = "<!-- figures, written by python -m bench.table -->", "<!-- end of figures -->"
EMPTY = "-"
"""In cells of what has not been measured yet."""

HEAD = "| what | here | against, in the same run |"


KERNELS = ("push", "back_up", "block_distances", "back_up_information", "log_likelihoods", "walk")
TORI = (10, 40, 100, 300)


def keyed(start, ends):
    return tuple(f"{start}{end}" for end in ends)


ROWS = {
    "`import fastmfg`": ("import",),
    "fresh process to a first result, compiled code at hand": ("first result",),
    "compiling what `solve` needs for `beach_bar`, empty cache": ("compiling to solve",),
    "compiling what `fastmfg learn` needs, empty cache": ("compiling to learn",),
    "`fastmfg learn`, whole process with pictures, compiled code at hand": ("learn, warm",),
    "`fastmfg learn`, whole process with pictures, empty cache": ("learn, cold",),
    "`fastmfg figure2`, 1,000 equilibria and 25 runs": ("figure2",),
    "`learn` alone": ("learn, paper's size",),
    "choice of a first reference / each further policy looked at": ("choice", "further policy"),
    "trajectories to `ne_gap_bound <= 1e-3`, 25 seeds": ("samples, paper's size",),
    "trajectories among 40 models, S=20, A=10": ("samples, small",),
    "an NE to 5e-4, amortised over a class, five classes": keyed("equilibria ", range(101, 106)),
    "exact distance of a pair, both directions, over all 19,900": ("distance of a pair",),
    "absolute differences, one thread, rows of 30 / 100 / 1000": keyed("l1 ", (30, 100, 1000)),
    "kernels, one thread: " + " / ".join(f"`{name}`" for name in KERNELS): keyed("kernel ", KERNELS),
    "P-MBED of one policy": ("pmbed",),
    "neighbours among 10,000 models": ("neighbours 10000",),
    "`learn` among 10,000 models, whole process": ("learn among 10,000",),
    "neighbours among 100,000 models, S=10, A=4, H=5": ("neighbours 100000",),
    "S=5,000, A=50, H=3, no tables, processor time: density / best response / distance of a pair": keyed(
        "no tables: ", ("density", "best response", "distance of a pair")
    ),
    "200 random games, S, A, H up to 30, `solve` to 1e-3 of the uniform gap": ("random games",),
    "mirror descent on a torus, H=10, 10x10 / 40x40 / 100x100 / 300x300, against SciPy CSR (target 7)": keyed(
        "torus fixed ", TORI
    ),
    "the adaptive step, NE gaps included, against CSR iterations without (target 5)": keyed("torus adaptive ", TORI),
    "mirror descent on random_linear n=100, against BLAS": ("affine",),
    "1000x1000 grid, H=50: density pass / best response": keyed("million states: ", ("density", "best response")),
    "1000x1000 grid, policy checked and copied: `condition` / `best_response` / `ne_gap`": keyed(
        "million states: ", ("condition", "best_response", "ne_gap")
    ),
    "`learn` among 64 congestion models on 316x316 cells, H=20, to 1% of the uniform gap": ("learn on 316x316 cells",),
    "10^4 / 10^8 agents by numbers, a step on 400 states": keyed("counts ", (10**4, 10**8)),
    "10^6 agents with identities": ("identities",),
    "an iteration of mirror descent on crowd_motion 20x20, against MFGLib": ("crowd_motion 20x20",),
    "on building_evacuation 10x20x20": ("building_evacuation",),
    "on random_linear n=100": ("random_linear n=100",),
    "on beach_bar n=1000": ("beach_bar n=1000",),
    "on susceptible_infected T=50": ("susceptible_infected T=50",),
    "on linear_quadratic": ("linear_quadratic",),
    "NE gap, torus 20x20, H=10, against OpenSpiel": ("NashConv 20x20",),
    "predator-prey 10x10, three populations, against OpenSpiel: an iteration / NashConv": keyed(
        "predators ", ("mirror descent", "NashConv")
    ),
}
"""What a row is of, and the keys of the figures that stand side by side in its cells."""

TESTS = [
    "test_startup.py",
    "test_learning.py",
    "test_certified.py::test_choice",
    "test_certified.py::test_further_policy",
    "test_equilibria.py",
    "test_distances.py",
    "test_kernels.py",
    "test_pmbed.py",
    "test_large.py",
    "test_random_games.py",
    "test_grids.py",
    "test_known_games.py",
    "test_population.py",
    "test_multi_type.py",
]
"""Benchmarks that have figures of the table."""


def measure(timing):
    """Run the benchmarks, their progress on the terminal; machine and figures by key."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "figures.json")
        options = ["--benchmark-enable", "-v"] if timing else ["-q"]
        tests = [f"bench/{test}" for test in TESTS]
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *options, "-p", "no:cacheprovider", f"--figures={file}", *tests],
            cwd=ROOT, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise SystemExit("bench.table: benchmarks failed, the README is left as it is")
        return read_figures(file)


def read_figures(file):
    """Machine, and figures by key, as ``pytest bench --figures FILE`` has left them; none may be missing."""
    found = json.loads(file.read_text(encoding="utf-8"))
    missing = [key for keys in ROWS.values() for key in keys if key not in found["figures"]]
    if missing:
        raise SystemExit(f"bench.table: no benchmark gives the figures {', '.join(missing)}")
    return found["machine"], found["figures"]


def block(machine, figures):
    """What stands between the markers."""
    lines = [
        f"On {machine['processor']}; {machine['software']};",
        f"u = {machine['unit']:.2f} s is what SciPy's `cdist` took in the same run for 1e9 absolute differences. Where",
        "no size is given: 200 models, S=100, A=50, H=3. In brackets, quoted where the peer is not installed: how many",
        "times as fast on a 2-core Intel Xeon (Skylake, 2.5 GHz), or the time published for the peer.",
        "",
        HEAD,
        "|---|---|---|",
    ]
    for what, keys in ROWS.items():
        cells = zip(*(figures[key] for key in keys), strict=True)
        lines.append(" | ".join([f"| {what}", *(" / ".join(filter(None, parts)) for parts in cells)]) + " |")
    return "\n".join(lines)


def write(text, path=README):
    """Put the block into a file, in the place of the one before."""
    before, _, after = parts_of(path)
    path.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


def parts_of(path):
    """What stands before, between and after the markers."""
    content = path.read_text(encoding="utf-8")
    if content.count(BEGIN) != 1 or content.count(END) != 1:
        raise SystemExit(f"bench.table: {path} must hold the lines {BEGIN} and {END}, once each")
    before, _, rest = content.partition(BEGIN)
    between, _, after = rest.partition(END)
    return before, between, after


def faults(path=README):
    """What is wrong with the table in a file, a text each."""
    lines = parts_of(path)[1].strip().splitlines()
    if len(lines) < 2 or not lines[0].startswith("On ") or not lines[1].startswith("u = "):
        return ["above the table, the processor and u must be named"]
    rows = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines if line.startswith("|")][2:]
    found = [row[0] for row in rows]
    wrong = [f"there is no row {what!r}" for what in ROWS if what not in found]
    wrong += [f"nothing writes the row {what!r}" for what in found if what not in ROWS]
    if not wrong and found != list(ROWS):
        wrong.append("rows are not in their order")
    filled = [len(row) == 3 and "" not in row for row in rows]
    return wrong + [f"the row {row[0]!r} is not filled in" for row, full in zip(rows, filled, strict=True) if not full]


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m bench.table", description="The README's table of figures.")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--try", action="store_true", help="run every benchmark once, small, without a clock")
    kind.add_argument("--check", action="store_true", help="see that the README has the right rows")
    kind.add_argument("--covered-by", type=Path, metavar="FILE", help="see that these figures are all of the table's")
    options = parser.parse_args(arguments)
    if options.covered_by is not None:
        read_figures(options.covered_by)
        return 0
    if options.check:
        wrong = faults()
        open_rows = parts_of(README)[1].count(f"| {EMPTY} | {EMPTY} |")
        print("\n".join(wrong) if wrong else f"{len(ROWS)} rows, as they should be; {open_rows} of them not measured")
        return 1 if wrong else 0
    machine, figures = measure(timing=not vars(options)["try"])
    if not vars(options)["try"]:
        write(block(machine, figures))
        print(f"written to {README}: {len(ROWS)} rows")
    return 0


if __name__ == "__main__":
    sys.exit(main())
