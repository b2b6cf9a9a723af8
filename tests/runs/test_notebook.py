"""The notebook of the stimuli: it runs as it is, and is committed with the outputs it makes."""

import copy
from collections import Counter
from pathlib import Path

import nbclient
import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "dataset" / "gabor_stimuli.ipynb"
LARGEST = 1_500_000  # bytes, as committed
FIGURE = "image/png"
FOLDERS = (str(ROOT), "/home/", "/root/", "/tmp/", "/Users/", "C:\\", "site-packages")


@pytest.fixture
def committed():
    return nbformat.read(NOTEBOOK, as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def formats(cell) -> Counter:
    """How many outputs of each kind a cell has; printed text, which comes in parts, counts once."""
    kinds = Counter()
    for output in cell.outputs:
        if output.output_type != "stream":
            kinds.update(list(output.data))
        elif output.name == "stdout":
            kinds["stdout"] = 1
    return kinds


def test_committed_with_outputs(committed):
    nbformat.validate(committed)
    cells = code_cells(committed)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    for cell in cells:
        assert formats(cell)[FIGURE] == cell.source.count("plt.show()"), cell.source
        assert ("print(" in cell.source) == formats(cell)["stdout"], cell.source


def test_nothing_of_the_machine_in_it(committed):
    assert NOTEBOOK.stat().st_size < LARGEST
    for cell in code_cells(committed):
        for output in cell.outputs:
            assert output.get("name") != "stderr"
            shown = output.get("text", "") + output.get("data", {}).get("text/plain", "")
            assert not any(sign in shown for sign in (*FOLDERS, " at 0x"))


def test_executes_to_what_is_committed(committed, tmp_path, monkeypatch):
    # kernels and settings of the user's own stay out of it
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    for name in ("DATA", "CONFIG", "RUNTIME"):
        monkeypatch.setenv(f"JUPYTER_{name}_DIR", str(tmp_path / name.lower()))
    executed = copy.deepcopy(committed)
    for cell in code_cells(executed):
        cell.outputs, cell.execution_count = [], None
    executed.cells.append(copy.deepcopy(code_cells(executed)[0]))  # harmless when run again
    nbclient.NotebookClient(
        executed,
        timeout=120,
        kernel_name="python3",
        resources={"metadata": {"path": str(NOTEBOOK.parent)}},
    ).execute()  # raises CellExecutionError where a cell fails

    *cells, _ = code_cells(executed)
    for ours, theirs in zip(code_cells(committed), cells, strict=True):
        assert formats(ours) == formats(theirs), ours.source
