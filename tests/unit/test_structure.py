"""The shape of the code: who imports whom, how long files are, what is installed."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("dataset", "model", "utils", "process_data")
MOST_LINES = 300
SOURCES = sorted(
    [ROOT / "run_model.py", *(p for name in PACKAGES for p in (ROOT / name).rglob("*.py"))]
)


def rooms() -> dict[str, set[str]]:
    """What each room may import, as the table of rooms says."""
    row = re.compile(r"^\| `([a-z_/.]+)` \| .* \| ([^|]*) \|$", re.M)
    table = (
        (ROOT / "CONTRIBUTING.md").read_text().split("| what it may import |")[1].split("\n\n")[0]
    )
    return {
        room.strip("/"): set(re.findall(r"`([^`]+)`", allowed))
        for room, allowed in row.findall(table)
    }


def room_of(path: Path) -> str:
    relative = path.relative_to(ROOT)
    return str(relative if relative.parent == Path() else relative.parent)


def imported_rooms(path: Path) -> set[str]:
    """The rooms, folders of this repository, that a file imports from."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            parts = name.split(".")
            if parts[0] in {*PACKAGES, "run_model"}:
                while parts and not (ROOT / Path(*parts)).is_dir():
                    parts.pop()  # a name in a module, or the module
                found.add("/".join(parts) or "run_model.py")
    return found


def test_the_table_names_every_room():
    assert {room_of(path) for path in SOURCES} <= rooms().keys()


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_imports_what_its_room_may_and_is_short(path):
    room = room_of(path)
    allowed = rooms()[room] | {room}
    within = tuple(name.removesuffix("**") for name in allowed if name.endswith("**"))
    for imported in imported_rooms(path):
        assert imported in allowed or f"{imported}/".startswith(within or "-"), imported
    assert len(path.read_text().splitlines()) < MOST_LINES


def test_flags_and_pictures_need_no_torch():
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import run_model, utils.plots.draw, utils.plots.pictures\n"
        "from utils.config import changes, checks, command_line\n"
        "command_line.parse(['--dataset', 'gabors'])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_analyses_and_comparisons_load_no_torch():
    code = (  # SciPy looks at torch's name in sys.modules, so torch can't be hidden there
        "import sys, utils.compare.__main__, utils.analysis.__main__, utils.analysis.compute\n"
        "import utils.analysis.drawing.draw, utils.analysis.embedding, utils.analysis.decoding\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_loops_know_no_dataset_by_name():
    for path in (ROOT / "model").rglob("*.py"):
        assert not re.search(r"gabor|ucf|hmdb|kinetics|mousesim", path.read_text(), re.I), path


def test_the_conda_environment_has_the_same_packages():
    wanted = (ROOT / "requirements.txt").read_text().split()
    listed = re.findall(r"^      - (\S+)$", (ROOT / "ssl.yml").read_text(), re.M)
    assert listed == wanted


@pytest.mark.slow
def test_gabors_need_no_opencv_pictures_no_screen_and_training_no_compiler():
    code = (
        "import sys; sys.modules['cv2'] = None; sys.modules['tkinter'] = None\n"
        "import dataset.build, model.training.run, utils.plots.draw, utils.runs.tensorboard\n"
        "import torch; from model.training.optimizer import Group, make_optimizer\n"
        "weight = torch.nn.Parameter(torch.zeros(2)); weight.grad = torch.ones(2)\n"
        "make_optimizer([Group('all', 1.0, [weight])], 1e-3, 0.0).step()\n"
        "assert not {'matplotlib.pyplot', 'torch._dynamo'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_each_licence_is_there():
    assert "2019 DenseCPC" in (ROOT / "LICENSE").read_text()
    assert "2019 Tengda Han" in (ROOT / "LICENSE_DPC").read_text()
