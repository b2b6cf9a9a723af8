"""Odd things in the folder of a run that is resumed, drawn, or beside a new one."""

import copy
import json
import shutil
from pathlib import Path

from odd_files import ODD_FILES, ODD_VALUES, START, replace
from odd_trials import Trial, all_pass


def test_files(starter, run_folder, tmp_path):
    files = [path.relative_to(run_folder) for path in run_folder.rglob("*") if path.is_file()]
    files = [Path("model"), *(path for path in files if path.suffix != ".png")]

    def trials():
        for n, file in enumerate(files):
            for m, (what, make) in enumerate(ODD_FILES.items()):
                place, name = tmp_path / f"{n}_{m}", f"{file} is {what}"
                folder = place / "runs" / run_folder.name
                shutil.copytree(run_folder, folder)
                replace(folder / file, make)
                yield Trial(name, place, ["--resume", folder, "--num_epochs", 1])
                if file.name == "config.json":
                    yield Trial(f"a neighbour's {name}", place, [*START, "--resume=auto"])
                if file.suffix == ".csv" or file.name == "config.json":
                    yield Trial(f"{name}, drawn", place, [folder], "odd_calls.draw")
                shutil.rmtree(place)

    all_pass(starter, "files of a run folder", trials())


def test_values_of_config_json(starter, run_folder, tmp_path):
    content = json.loads((run_folder / "config.json").read_text())
    folder = tmp_path / "runs" / run_folder.name
    shutil.copytree(run_folder, folder)

    def trials():
        for part, values in content.items():
            keys = list(values) if isinstance(values, dict) else range(len(values))
            for key in [None, *keys]:
                for what, odd in ODD_VALUES.items():
                    changed = copy.deepcopy(content)
                    if key is None:
                        changed[part] = odd
                    else:
                        changed[part][key] = odd
                    (folder / "config.json").write_text(json.dumps(changed))
                    name = f"config.json: {part} {key} is {what}"
                    yield Trial(name, tmp_path, ["--resume", folder, "--num_epochs", 1])
                    if part == "typed":
                        yield Trial(f"{name}, auto", tmp_path, [*START, "--resume=auto"])

    all_pass(starter, "values of config.json", trials())
