"""``import fastmfg`` in a fresh process: seconds, beside those of its dependencies alone; nothing compiles."""

import statistics
import subprocess
import sys

CLOCK = "import time; started = time.perf_counter(); import {}; print(time.perf_counter() - started)"

COMPILES = """
import numba
from numba.core import event
with event.install_recorder("numba:compile") as recorder:
    import fastmfg
print(len(recorder.buffer))
"""


def run(code):
    """What a fresh Python prints, as a number."""
    return float(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)


def test_import(benchmark, note, timing):
    assert run(COMPILES) == 0
    seconds = {"fastmfg": [], "numba, numpy": []}

    def once():
        for modules, measured in seconds.items():
            measured.append(run(CLOCK.format(modules)))

    benchmark.pedantic(once, rounds=11, warmup_rounds=1 if timing else 0)
    ours, dependencies = (statistics.median(measured) for measured in seconds.values())
    benchmark.extra_info.update(import_seconds=ours, dependencies_seconds=dependencies)
    if timing:
        alone = f"fraction {dependencies / ours:.2f} of importing numba and numpy alone ({dependencies:.3f} s)"
        note("fresh process", f"{ours:.3f} s (median of 11; target 0.6)  {alone}  compiles nothing")
    else:
        note("fresh process", "compiles nothing (timing off)")
