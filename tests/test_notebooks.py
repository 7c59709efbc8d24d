"""Every notebook runs from the first cell to the last."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
LONG = ("learning", "populations", "theory")


def test_there_is_a_notebook():
    assert NOTEBOOKS


@pytest.mark.filterwarnings("default")  # the notebook client's own
@pytest.mark.parametrize(
    "path",
    [pytest.param(p, marks=[pytest.mark.long] if p.stem in LONG else [], id=p.stem) for p in NOTEBOOKS],
)
def test_notebook_runs(path, tmp_path):
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": tmp_path}}).execute()
