"""Settings and fixtures of all tests."""

import os
import signal

import hypothesis
import pytest

os.environ.setdefault("FASTMFG_CHECK_KERNELS", "1")  # kernels themselves look at no argument

hypothesis.settings.register_profile("steady", max_examples=15, deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("steady")


def pytest_configure(config):
    # a shell starts what runs in the background with interrupts ignored, and children inherit it: tests send some
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    workers = getattr(config.option, "numprocesses", None)
    if not workers or hasattr(config, "workerinput") or config.option.collectonly:
        return
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # of each worker: they fill the processors by themselves
    from fastmfg.warm_up import compile_all  # noqa: PLC0415

    compile_all(workers)  # else each worker would compile the same kernels


@pytest.fixture
def threads():
    """`set_thread_count`, undone after the test."""
    from fastmfg import executors  # noqa: PLC0415

    yield executors.set_thread_count
    executors.set_thread_count(None)
