"""Processes of their own, as a user starts them: seconds by the clock and of processors, and peak memory."""

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass

RUN = """
import json, sys
code, arguments, peak_file = json.loads(sys.argv[1])
sys.argv = ["bench", *arguments]
try:
    exec(compile(code, "bench", "exec"), {"__name__": "__main__"})
finally:
    try:  # the peak of this process alone: what getrusage reports counts the parent's memory before exec
        peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
    except OSError:
        import resource
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1024 if sys.platform == "darwin" else 1)
    with open(peak_file, "w") as file:
        file.write(str(peak))
"""

COMMAND = "import sys; from fastmfg.cli import main; assert main(sys.argv[1:]) == 0"
"""``fastmfg`` with arguments."""


@dataclass(frozen=True)
class Run:
    """What a process took, and what it printed."""

    seconds: float  # by the clock, from its start to its end
    cpu_seconds: float  # of all its threads
    peak: float  # MiB
    out: str


def run(code, *arguments, cache=None):
    """Run code in a fresh interpreter; `cache` is the folder of its compiled code, the usual one by default."""
    environment = os.environ | ({} if cache is None else {"NUMBA_CACHE_DIR": str(cache)})
    with tempfile.NamedTemporaryFile("r") as peak, tempfile.TemporaryFile("w+") as out:
        command = [sys.executable, "-c", RUN, json.dumps([code, [str(a) for a in arguments], peak.name])]
        started = time.perf_counter()
        process = subprocess.Popen(command, env=environment, stdout=out, cwd=os.getcwd())
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0, f"a process of a benchmark failed: {code}"
        out.seek(0)
        return Run(seconds, usage.ru_utime + usage.ru_stime, int(peak.read()) / 1024, out.read())
