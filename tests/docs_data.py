"""What the pages' commands take for granted: videos in DIR, weights, a film and a finished run."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from docs_pages import Page

CLASSES = ("Dive", "Jump", "Run")
TRAIN, TEST = 5, 4  # videos in a class: batches are of four clips
FRAMES = 40  # 3 blocks of 2 frames at Kinetics400's stride of 5
DATASETS = ("UCF101", "HMDB51", "Kinetics400", "MouseSim")
SMALL_GABORS = "--dataset gabors --num_seq_in 2 --pred_step 1 --diff_U_possizes --seed 1"
MADE = {  # a name on a page, and the commands that make it
    "RUN_FOLDER": (
        f"python run_model.py {SMALL_GABORS} --num_epochs 9 --unexp_epoch 9 --analysis "
        "--output_dir .made && mv .made/gabors* RUN_FOLDER"
    ),
    "OUT/RUN/": (
        "python run_model.py --model lc-rnn --dataset ucf101 --num_epochs 1 --seed 1 "
        "--output_dir .made && mkdir -p OUT && mv .made/ucf101* OUT/RUN"
    ),
}


def make_data(folder: Path) -> None:
    """Make the template of what every page's sandbox holds.

    DIR: videos of the published data sets, as downloaded, and of Pets. prepared: their split files.
    """
    from video_files import write_video

    video = folder / "clip.avi"
    write_video(video, FRAMES, (64, 48))
    shutil.copy(video, folder / "clip.mp4")
    root = folder / "DIR"
    for name in (*DATASETS, "Pets"):
        ending = {"Kinetics400": ".mp4", "MouseSim": ".mov", "Pets": ".mp4"}.get(name, ".avi")
        for label, class_name in enumerate(CLASSES):
            for number in range(TRAIN + TEST):
                path = root / name / "videos" / class_name / f"v_{class_name}_{number}{ending}"
                if name == "Kinetics400":
                    path = path.with_name(f"{label}{number:010}_000000_000010.mp4")
                path.parent.mkdir(parents=True, exist_ok=True)
                os.link(video, path)
    write_lists(root)
    save_weights(folder / "weights.pth.tar")


def write_lists(root: Path) -> None:
    """Write the published lists of splits, and notes that the archives were unpacked."""
    from utils.config.datasets import CATALOGUE

    for name in DATASETS:
        for address in CATALOGUE[name].addresses.values():
            done = root / name / "archives/.done"
            done.mkdir(parents=True, exist_ok=True)
            (done / f"{address.rpartition('/')[2]}.done").touch()
        (root / name / "splits").mkdir(exist_ok=True)
    numbers = range(TRAIN + TEST)
    train = [(c, f"v_{c}_{n}.avi") for c in CLASSES for n in numbers if n < TRAIN]
    test = [(c, f"v_{c}_{n}.avi") for c in CLASSES for n in numbers if n >= TRAIN]
    ucf, hmdb = root / "UCF101/splits", root / "HMDB51/splits"
    (ucf / "classInd.txt").write_text("".join(f"{i} {c}\n" for i, c in enumerate(CLASSES, 1)))
    for split in (1, 2, 3):
        for mode, videos in (("train", train), ("test", test)):
            text = "".join(f"{c}/{v} {CLASSES.index(c) + 1}\n" for c, v in videos)
            (ucf / f"{mode}list0{split}.txt").write_text(text)
        for name in CLASSES:
            uses = [f"{v} 1\n" for c, v in train if c == name]
            uses += [f"{v} 2\n" for c, v in test if c == name]
            (hmdb / f"{name}_test_split{split}.txt").write_text("".join(uses))
    for mode, some in (("train", numbers[:TRAIN]), ("val", numbers[TRAIN:])):
        text = "label,youtube_id,time_start,time_end,split\n"
        rows = [f"{c},{i}{n:010},0,10,{mode}\n" for i, c in enumerate(CLASSES) for n in some]
        path = root / "Kinetics400/annotations" / f"{mode}.csv"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text + "".join(rows))


def save_weights(path: Path) -> None:
    """Save random weights of the narrow dpc-rnn in the format of the published files."""
    import torch

    from published import save_as_published
    from small_runs import narrow

    with narrow():
        from model.dpc import DPC_RNN

        state = DPC_RNN("resnet18", 128, num_seq_in=5, seq_len=5, pred_step=3).state_dict()
    named = {f"module.{key}": value for key, value in state.items()}
    save_as_published({"epoch": 100, "net": "resnet18", "state_dict": named}, path)
    assert torch.load(path, weights_only=True)


def prepare(repository: Path, data: Path, environment: dict[str, str]) -> None:
    """Write the split files of all data sets into `data/prepared`, from their videos."""
    for name in DATASETS:
        for eye in (["left"], ["right"], ["both"]) if name == "MouseSim" else ([],):
            flags = ["--dataset", name, *(word for e in eye for word in ("--eye", e))]
            if name == "Kinetics400":
                run_script(repository, data, [*flags, "--k400_big"], environment)
            run_script(repository, data, flags, environment)


def run_script(
    repository: Path, data: Path, flags: Sequence[str], environment: dict[str, str]
) -> None:
    places = ["--d_root", data / "DIR", "--csv_root", data / "prepared", "--num_workers", "0"]
    done = subprocess.run(
        [sys.executable, repository / "process_data/write_csvs.py", *places, *flags],
        env=environment, capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"write_csvs.py {' '.join(flags)}: {done.stderr}")


def commands_of(page: Page) -> str:
    return "\n".join(
        line for b in page.blocks if b.language in ("bash", "python") for line in b.lines
    )


def fill(repository: Path, data: Path, page: Page) -> None:
    """Put into a page's sandbox what it takes for granted.

    A page that prepares a data set itself, by write_csvs.py, finds its videos alone, and any other
    page finds the split files as well.
    """
    shutil.copytree(data / "DIR", repository / "DIR", copy_function=os.link)
    shutil.copy(data / "clip.mp4", repository)
    text = commands_of(page)
    calls = [line for line in text.splitlines() if "write_csvs.py" in line]
    own = [line for line in calls if "--csv_root" not in line]  # not into process_data/data
    by_hand = {m[1].lower() for line in own for m in re.finditer(r"--dataset (\w+)", line)}
    for folder in sorted((data / "prepared").iterdir()):
        if folder.name.split("_")[0].lower() not in by_hand:
            target = repository / "process_data/data" / folder.name
            shutil.copytree(folder, target)
            root = target / "root.txt"
            root.write_text(root.read_text().replace(str(data), str(repository)))
    for name in set(re.findall(r"(?<![\w/*.$\"])([\w-]+\.pth\.tar)\b", text)):
        shutil.copy(data / "weights.pth.tar", repository / name)
    (repository / "weights").mkdir(exist_ok=True)
    for name in ("k400", "mousesim"):  # where the batch scripts look for them
        path = repository / f"weights/{name}_128_r18_dpc-rnn.pth.tar"
        shutil.copy(data / "weights.pth.tar", path)


def made_before(page: Page) -> list[str]:
    """Return the commands that make the runs that the page names without making them."""
    text = commands_of(page)
    return [command for name, command in MADE.items() if name in text]
