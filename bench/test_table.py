"""The README's table: what is written, and what the check finds in it."""

import json

import pytest

from bench import table

MACHINE = {
    "processor": "Some CPU (some-kind), 2 processors",
    "software": "Python 3.11, numba 0.68, NumPy 2.4",
    "unit": 1.0,
}


@pytest.fixture
def figures():
    return {key: ["1 ms", "2 u"] for keys in table.ROWS.values() for key in keys}


@pytest.fixture
def readme(tmp_path, figures):
    path = tmp_path / "README.md"
    path.write_text(f"before\n{table.BEGIN}\nold\n{table.END}\nafter\n")
    table.write(table.block(MACHINE, figures), path)
    return path


def test_what_is_written_is_found_right(readme):
    text = readme.read_text()
    assert text.startswith("before\n") and text.endswith("\nafter\n") and "old" not in text
    assert "On Some CPU (some-kind), 2 processors;" in text and "\nu = 1.00 s is" in text
    assert "| `import fastmfg` | 1 ms | 2 u |" in text
    assert "| choice of a first reference / each further policy looked at | 1 ms / 1 ms | 2 u / 2 u |" in text
    assert table.faults(readme) == []


def test_each_fault_is_named(readme):
    good = readme.read_text()
    lines = good.splitlines(keepends=True)
    row = next(i for i, line in enumerate(lines) if line.startswith("| P-MBED"))
    for change, message in (
        ([], "there is no row 'P-MBED of one policy'"),
        (["| P-MBED of two | 1 s | 2 u |\n"], "nothing writes the row 'P-MBED of two'"),
        (["| P-MBED of one policy | 1 s | |\n"], "the row 'P-MBED of one policy' is not filled in"),
        ([lines[row + 1], lines[row]], "rows are not in their order"),
    ):
        rest = lines[row + 1 + (len(change) == 2) :]
        readme.write_text("".join(lines[:row] + change + rest))
        assert message in table.faults(readme)
    readme.write_text(good.replace("u = 1.00 s", "fast"))
    assert table.faults(readme) == ["above the table, the processor and u must be named"]
    readme.write_text("no table")
    with pytest.raises(SystemExit, match="must hold the lines"):
        table.faults(readme)


def test_every_row_needs_a_benchmark(tmp_path, figures):
    file = tmp_path / "figures.json"
    file.write_text(json.dumps({"machine": MACHINE, "figures": figures}))
    assert table.main(["--covered-by", str(file)]) == 0
    del figures["affine"]
    file.write_text(json.dumps({"machine": MACHINE, "figures": figures}))
    with pytest.raises(SystemExit, match="no benchmark gives the figures affine"):
        table.main(["--covered-by", str(file)])
