"""The shape of the code: who imports whom, how long files are, what is installed."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("dataset", "model", "utils", "process_data")
MAY_IMPORT = {
    "dataset": {"dataset", "utils"},
    "model": {"model", "utils"},
    "utils": {"utils"},
    "process_data": {"dataset", "utils"},
}
MOST_LINES = 300
SOURCES = sorted(
    [ROOT / "run_model.py", *(p for name in PACKAGES for p in (ROOT / name).rglob("*.py"))]
)


def imported_packages(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.add(node.module.split(".")[0])
    return names.intersection({*PACKAGES, "run_model"})


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way_and_files_are_short(path):
    allowed = MAY_IMPORT.get(path.relative_to(ROOT).parts[0], {"dataset", "model", "utils"})
    assert imported_packages(path) <= allowed
    assert len(path.read_text().splitlines()) < MOST_LINES


def test_the_loops_know_no_dataset_by_name():
    for path in (ROOT / "model").rglob("*.py"):
        assert not re.search(r"gabor|ucf|hmdb|kinetics|mousesim", path.read_text(), re.I), path


def test_the_conda_environment_has_the_same_packages():
    wanted = (ROOT / "requirements.txt").read_text().split()
    listed = re.findall(r"^      - (\S+)$", (ROOT / "ssl.yml").read_text(), re.M)
    assert listed == wanted


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
