"""The notebook of the stimuli: it runs as it is, and is committed with the outputs it makes."""

import copy
import re
from collections import Counter
from pathlib import Path

import nbclient
import nbformat
import pandas as pd
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


@pytest.fixture
def execute(tmp_path, monkeypatch):
    """What executes a notebook; kernels and settings of the user's own stay out of it."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    for name in ("DATA", "CONFIG", "RUNTIME"):
        monkeypatch.setenv(f"JUPYTER_{name}_DIR", str(tmp_path / name.lower()))

    def run(notebook) -> None:
        nbclient.NotebookClient(
            notebook,
            timeout=300,  # of a cell; one makes a tiny run
            kernel_name="python3",
            resources={"metadata": {"path": str(NOTEBOOK.parent)}},
        ).execute()  # raises CellExecutionError where a cell fails

    return run


def test_executes_to_what_is_committed(committed, execute):
    executed = copy.deepcopy(committed)
    for cell in code_cells(executed):
        cell.outputs, cell.execution_count = [], None
    executed.cells.append(copy.deepcopy(code_cells(executed)[0]))  # harmless when run again
    execute(executed)

    *cells, _ = code_cells(executed)
    for ours, theirs in zip(code_cells(committed), cells, strict=True):
        assert formats(ours) == formats(theirs), ours.source


def test_the_figures_of_a_run_are_those_of_the_folder_that_is_named(
    committed, execute, pretrained_run
):
    start = next(i for i, cell in enumerate(committed.cells) if "A trained run" in cell.source)
    imports = code_cells(committed)[0]
    part = nbformat.v4.new_notebook(cells=[imports, *committed.cells[start:]])
    _, read, *figures = code_cells(part)
    read.source, changed = re.subn(
        r"^RUN = .*$", f"RUN = Path({str(pretrained_run)!r})", read.source, flags=re.M
    )
    assert changed == 1
    shown = list(map(formats, figures))
    execute(part)
    printed = "".join(output.get("text", "") for output in read.outputs)
    passes, predictions = (
        len(pd.read_csv(pretrained_run / name)) for name in ("epochs.csv", "predictions.csv")
    )
    assert f"the run: {pretrained_run.name}" in printed
    assert f"{passes} passes, {predictions} predictions" in printed
    assert list(map(formats, figures)) == shown
