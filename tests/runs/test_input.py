"""The command line: what it takes, and that wrong input gets one line and leaves nothing behind."""

import math
import os
import pickle
import re
import shlex
import string
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from forked import ROOT
from small_runs import TINY, run
from utils.config import command_line as flags
from utils.config.checks import check, from_stored
from utils.config.flags import FIELDS, Config
from utils.errors import UsageError
from utils.runs.folder import checkpoint_stem, run_name

pytestmark = pytest.mark.usefixtures("small")


def config(line: str) -> Config:
    parsed = replace(Config(), **flags.parse(shlex.split(line, comments=True)))
    check(parsed)
    return parsed


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "--model dpc-rnn --dataset k400 --net resnet18 --img_dim 128 --num_epochs 100 "
            "--output_dir DIR",
            Config(dataset="Kinetics400", num_epochs=100, output_dir="DIR"),
        ),
        (
            "--model lc-rnn --dataset ucf101 --net resnet18 --img_dim 128 --num_epochs 100 "
            "--train_what ft --pretrained FILE --output_dir DIR",
            Config(
                model="lc-rnn",
                dataset="UCF101",
                num_epochs=100,
                train_what="ft",
                pretrained="FILE",
                output_dir="DIR",
            ),
        ),
        (
            "--gpu 0,1,2,3 --net resnet34 --dataset k400 --batch_size 44 --img_dim 224 "
            "--epochs 150",
            Config(
                gpu="0,1,2,3",
                net="resnet34",
                dataset="Kinetics400",
                batch_size=44,
                img_dim=224,
                num_epochs=150,
            ),
        ),
        (
            "--gpu 0,1 --net resnet18 --dataset ucf101 --batch_size 128 --img_dim 128 "
            "--pretrain FILE --train_what ft --epochs 300 --model lc-rnn",
            Config(
                gpu="0,1",
                dataset="UCF101",
                batch_size=128,
                pretrained="FILE",
                train_what="ft",
                num_epochs=300,
                model="lc-rnn",
            ),
        ),
        ("--model dpc --num_seq 8 --pred_step 3 --ds 4", Config(num_seq_in=5, ucf_hmdb_ms_ds=4)),
        ("--model lc --num_seq 8 --prefix x", Config(model="lc-rnn", num_seq_in=8, suffix="x")),
        ("--dataset GABORS --print_freq 2", Config(dataset="Gabors", log_freq=2)),
    ],
)
def test_published_command_lines_are_understood(line, expected):
    assert config(line) == expected


def test_every_flag_has_help_with_its_default_and_belongs_to_a_group():
    text = flags.build_parser().format_help()
    for name, field in FIELDS.items():
        assert f"--{name}" in text
        assert field.metadata["help"].split()[0] in text
    for shown in ("[128]", "[0.08]", "[off]", "[none]", "[-1]", "run:", "Gabors:", "technical:"):
        assert shown in text


def test_num_seq_must_leave_blocks_to_see():
    with pytest.raises(
        UsageError, match="--num_seq 3: counts predicted blocks too; take at least 4"
    ):
        config("--num_seq 3")


@pytest.mark.parametrize(
    ("line", "name"),
    [
        (
            "--dataset ucf101 --img_dim 128",
            "ucf101-128_r18_dpc-rnn_bs24_lr0.001_nseq5_pred3_len5_ds3_train-all",
        ),
        (
            "--dataset k400 --net resnet34 --img_dim 224 --lr 1e-5 --batch_size 44 --seed 3 "
            "--suffix big",
            "k400-224_r34_dpc-rnn_bs44_lr1e-05_nseq5_pred3_len5_train-all_seed3_big",
        ),
        (
            "--model lc --dataset mousesim --eye left --pretrained a/k400_r18.pth.tar "
            "--train_what ft",
            "mousesim_left-128_r18_lc-rnn_bs24_lr0.001_nseq5_len5_ds3_train-ft_pt-k400_r18",
        ),
        (
            "--dataset mousesim --eye both",
            "mousesim-128_r18_dpc-rnn_bs24_lr0.001_nseq5_pred3_len5_ds3_train-all",
        ),
    ],
)
def test_a_run_folder_is_named_after_its_configuration(line, name):
    assert run_name(config(line), seed_typed="--seed" in line) == name


def test_a_checkpoints_stem_is_its_name_without_ending():
    assert checkpoint_stem("a/b/best_epoch8.pth.tar") == "best_epoch8"
    assert checkpoint_stem("x.pth") == "x"
    assert checkpoint_stem("x" * 200 + "é_epoch8.pth.tar") == 41 * "x" + "é_epoch8"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--dataset cifar", "--dataset cifar: unknown; take one of UCF101"),
        (
            "--dataset ucf101",
            "train_split01.csv: no such split file; make it with process_data/write",
        ),
        ("--net resnet19", "--net resnet19: unknown; take one of resnet18"),
        ("--model gpt", "--model gpt: unknown"),
        ("--batch_sizes 3", "unrecognized arguments: --batch_sizes"),
        ("--batch_size many", "argument --batch_size: invalid int value: 'many'"),
        ("--eye third", "argument --eye: invalid choice"),
        ("--resume a --test b", "--resume and --test: take at most one"),
        ("--pretrained a --resume b --test c", "take at most one"),
        ("--shift_frames", "--shift_frames: needs --roll"),
        ("--shift_frames --roll --gab_img_len 1", "--shift_frames: needs --gab_img_len"),
        ("--U_prob 1.5", "--U_prob 1.5: must lie between 0 and 1"),
        ("--U_prob nan", "--U_prob nan: must lie between 0 and 1"),
        ("--img_dim 31", "--img_dim 31: must lie between 32 and 4096"),
        ("--seq_len 0", "--seq_len 0: must lie between 1 and 1000"),
        ("--pred_step 0", "--pred_step 0: must lie between 1 and 1000"),
        ("--num_seq 1", "--num_seq and --num_seq_in: take one of them"),
        ("--lr 0", "--lr 0: must be above 0"),
        ("--lr nan", "--lr nan: must be above 0"),
        ("--wd -1", "--wd -1: must be at least 0"),
        ("--dropout 1", "--dropout 1: must be at least 0 and below 1"),
        ("--seed -2", "--seed -2: must be at least -1"),
        ("--seed 4294967296", "--seed 4294967296: must be at least -1 and below 4294967296"),
        ("--split 100", "--split 100: must lie between 1 and 99"),
        ("--plain --grad_checkpoint", "--grad_checkpoint: is part of what --plain leaves out"),
        ("--compile --grad_checkpoint", "--compile: torch can't compile --grad_checkpoint"),
        ("--train_what ft", "--train_what ft: is for lc-rnn"),
        ("--model lc-rnn --track_bn", "--track_bn: is for dpc-rnn"),
        ("--model lc-rnn --batch_size 1", "--batch_size 1: lc-rnn trains on at least 2"),
        ("--batch_size 1", "--batch_size 1: leaves nothing to contrast with"),
        ("--reset_lr", "--reset_lr: needs --resume"),
        ("--batch_size 5 --train_len 8", "--batch_size 5: the val set has 4 clips"),
        ("--batch_size 9 --train_len 8", "--batch_size 9: the train set has 8 clips"),
        ("--model lc-rnn --train_len 1 --batch_size 2", "the train set has 1 clips"),
        ("--gpu first", "--gpu first: takes the numbers of GPUs"),
        ("--pretrained nothing.pth.tar", "--pretrained nothing.pth.tar: no such file"),
        ("--test nothing.pth.tar", "--test nothing.pth.tar: no such file"),
        ("--resume nothing.pth.tar", "--resume nothing.pth.tar: no such file"),
        ("--resume .", "--resume .: is not a run folder"),
        ("--output_dir file/below", "--output_dir file/below: can't write there"),
        ("--output_dir file", "--output_dir file: can't write there (a file or a broken link has"),
        ("--suffix a/b", "--suffix a/b: is part of a folder's name"),
        ("--suffix " + 81 * "x", "has 81 bytes; a folder's name has room for 80"),
        ("--suffix " + 27 * "…", "has 81 bytes"),
        ("--suffix 'a\n'", "argument --suffix/--prefix: 'a\\n' holds the control character"),
        ("--suffix 'a\x1b[2J'", "holds the control character '\\x1b'"),
        ("--unknown 'a\nb'", r"unrecognized arguments: --unknown a\nb"),
        ("--batch_size=--", "argument --batch_size: expected one argument"),
        ("--suffix=--", "argument --suffix: expected one argument"),
        ("--gpu -1", "--gpu -1: takes the numbers of GPUs"),
        ("--gpu 99999999999", "takes the numbers of GPUs"),
        ("--gpu ,", "takes the numbers of GPUs"),
        ("--gpu 0,0", "--gpu 0,0: names a GPU twice"),
        ("--batch_size 1000000 --train_len 2000000", "no memory holds so many clips"),
        ("--seq_len 1000 --num_seq_in 1000 --pred_step 1000", "no memory holds so many clips"),
        ("--batch_size 1000000 --seq_len 50", "no memory holds so many clips"),
    ],
)
def test_wrong_input_gets_one_line_and_leaves_nothing(line, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    asked = shlex.split(line)
    arguments = [*TINY, *asked] if "--resume" not in asked and "--test" not in asked else asked
    assert run(*arguments) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("run_model.py: ")
    assert message in last
    assert os.listdir(tmp_path) == ["file"]


def test_a_current_folder_that_is_gone_is_told(tmp_path, monkeypatch, capsys):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert run(*TINY, "--output_dir", tmp_path) == 2
    told = "run_model.py: the current folder is gone (No such file or directory); cd to one\n"
    assert capsys.readouterr().err == told


def test_a_suffix_of_bytes_that_are_no_text_is_refused():
    with pytest.raises(UsageError, match=r"--suffix .*: is no UTF-8 text"):
        check(Config(suffix="\udcff"))


@pytest.mark.parametrize("name", [name for name, field in FIELDS.items() if field.type is not bool])
def test_no_flag_takes_an_empty_value_as_of_an_unset_variable(name):
    for empty in ("", "  "):
        with pytest.raises(UsageError, match=rf"--{name}\b.*(is empty|invalid)"):
            flags.parse([f"--{name}", empty])


NUMBERS = [name for name, field in FIELDS.items() if field.metadata["bounds"]]

ALWAYS_WRONG = ("nan", "inf", "-inf", 5000 * "9", "-1e9")
TOO_LARGE = ("1e99", 20 * "9")  # but for rates, which work until the loss isn't finite


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, value) for name in NUMBERS for value in ALWAYS_WRONG),
        *((name, value) for name in NUMBERS if name not in ("lr", "wd") for value in TOO_LARGE),
    ],
)
def test_numbers_that_nothing_can_work_with_are_refused(name, value):
    with pytest.raises(UsageError, match=f"--{name}") as refused:
        config(f"--{name}={value}")
    assert len(str(refused.value)) < 700


PATHS = [name for name, field in FIELDS.items() if field.metadata["is_path"]]


@pytest.mark.parametrize("name", PATHS)
def test_every_path_flag_expands_the_home_folder_and_refuses_what_is_no_path(name, monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    typed = flags.parse([f"--{name}=~/a b/./c"])
    assert typed[name] == "/home/me/a b/./c"
    assert flags.parse([f"--{name}=./~/c"])[name] == "./~/c"
    for wrong, told in (
        ("~nobody-of-this-name/x", "unknown user"),
        ("a\0b", "control character"),
        ("a\n", "control character"),
        ("x" * 300, "can't be reached .the name is too long"),
        ("/dev/fd/../" * 500, "can't be reached .the name is too long"),
    ):
        with pytest.raises(UsageError, match=rf"argument --{name}.*: .*{told}"):
            flags.parse([f"--{name}={wrong}"])


def test_path_flags_of_scripts_are_paths(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert flags.typed_path("~/x") == Path("/home/me/x")
    assert [
        *("output_dir", "resume", "pretrained", "test", "retrieve", "extract", "video"),
        *("data_path_dir", "temp_data_dir", "class_index"),
    ] == PATHS
    assert flags.parse(["--resume", "auto"]) == {"resume": "auto"}


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        ([1], "is no dictionary"),
        ({"nothing": 1, 3: 4}, "unknown fields 3, nothing"),
        ({"seq_len": True}, "seq_len is 'True'"),
        ({"seq_len": 5.0}, "seq_len is '5.0'"),
        ({"seq_len": 10**12}, "--seq_len 1000000000000: must lie between 1 and 1000"),
        ({"lr": math.nan}, "--lr nan: must be above 0"),
        ({"lr": True}, "lr is 'True'"),
        ({"wd": math.inf}, "--wd inf"),
        ({"lr": "0.1"}, "lr is '0.1'"),
        ({"roll": 1}, "roll is '1'"),
        ({"roll": None}, "roll is 'None'"),
        ({"eye": "third"}, "eye is 'third'"),
        ({"net": "resnet19"}, "--net resnet19: unknown"),
        ({"output_dir": "a\0"}, "control character"),
        ({"output_dir": "\ud800"}, "half a character"),
        ({"model": ["dpc-rnn"]}, "model is"),
    ],
)
def test_a_stored_configuration_is_held_to_the_flags_types_and_bounds(stored, message):
    with pytest.raises(UsageError, match=re.escape(message)) as caught:
        from_stored(stored)
    assert str(caught.value).startswith("stored configuration: ")


def test_a_configuration_stored_with_empty_texts_stays_good():
    assert from_stored(vars(Config())) == Config()
    assert from_stored({"lr": 1, "wd": None}) == Config(lr=1)


def test_wrong_flags_are_told_in_one_line_before_the_slow_imports():
    code = "import run_model, sys; print(run_model.main(['--model', 'x']), 'torch' in sys.modules)"
    for command, told in ((["-c", code], "2 False\n"), (["run_model.py", "--model", "x"], "")):
        done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True)
        assert done.stdout == told
        assert done.stderr.startswith("run_model.py: --model x: unknown")
        assert len(done.stderr.splitlines()) == 1
    assert done.returncode == 2


@pytest.mark.parametrize("flag", ["pretrained", "test", "resume"])
@pytest.mark.parametrize("content", ["empty", "text", "truncated", "list", "no weights"])
def test_files_that_are_no_checkpoints_are_refused(
    flag, content, pretrained_run, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    path = Path("file.pth.tar")
    whole = next((pretrained_run / "model").glob("epoch0*")).read_bytes()
    if content in ("list", "no weights"):
        torch.save([1, 2] if content == "list" else {"epoch": 3}, path)
    else:
        path.write_bytes({"empty": b"", "text": b"hello", "truncated": whole[:100_000]}[content])
    arguments = [*TINY] if flag == "pretrained" else []
    model = ["--model", "lc-rnn", *TINY] if flag == "test" else []
    assert run(*arguments, *model, f"--{flag}", path) == 2
    assert f"--{flag} file.pth.tar: " in capsys.readouterr().err.splitlines()[-1]
    assert os.listdir(tmp_path) == ["file.pth.tar"]


class Evil:
    def __reduce__(self):
        return os.mkdir, ("ran",)


@pytest.mark.parametrize("legacy", [False, True])
def test_a_file_that_carries_code_is_refused_and_nothing_of_it_runs(
    legacy, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    content = {"state_dict": {}, "epoch": Evil()}
    torch.save(content, "evil.pth.tar", _use_new_zipfile_serialization=not legacy)
    assert run(*TINY, "--pretrained", "evil.pth.tar") == 2
    assert "holds more than weights" in capsys.readouterr().err
    Path("evil.pth.tar").write_bytes(pickle.dumps(content, protocol=2))
    assert run(*TINY, "--pretrained", "evil.pth.tar") == 2
    assert os.listdir(tmp_path) == ["evil.pth.tar"]


def test_a_dpc_checkpoint_is_not_tested(pretrained_run, capsys):
    assert run("--test", next((pretrained_run / "model").glob("epoch0*"))) == 2
    assert "is a dpc-rnn, which has no classifier" in capsys.readouterr().err


@pytest.mark.parametrize(
    "flag", [["--no_gray"], ["--gabor_design", "gillon2021"], ["--U_prob", "0"]]
)
def test_a_classifier_of_other_classes_is_not_tested(flag, classifier_run, capsys):
    before = sorted(classifier_run.iterdir())
    assert run("--test", classifier_run / "model/epoch0.pth.tar", *flag) == 2
    assert "classes are not the" in capsys.readouterr().err
    assert sorted(classifier_run.iterdir()) == before


@pytest.mark.parametrize(
    "flag",
    [["--net", "resnet34"], ["--img_dim", "64"], ["--seed", "8"], ["--U_prob", "0"], ["--roll"]],
)
def test_a_resumed_run_keeps_what_it_is(flag, pretrained_run, capsys):
    records = (pretrained_run / "epochs.csv").read_text()
    assert run("--resume", pretrained_run, *flag) == 2
    assert f"{flag[0]} " in capsys.readouterr().err
    assert (pretrained_run / "epochs.csv").read_text() == records


def readme_commands() -> list[str]:
    """Return the arguments of the README's commands, with the variables that it sets."""
    text = (ROOT / "README.md").read_text().replace("\\\n", " ")
    variables = dict(re.findall(r'^([A-Z]+)="?([^"\n]*)"?$', text, re.M))
    variables |= {"SEED": "1", "SPLIT": "1"}  # of loops
    lines = [line.strip() for line in text.splitlines()]
    return [
        string.Template(line.partition("run_model.py")[2].lstrip()).safe_substitute(variables)
        for line in lines
        if re.match(r"(python|torchrun|srun)\b.* run_model.py ", line + " ")
    ]


@pytest.mark.parametrize("line", readme_commands())
def test_the_readmes_commands_are_understood(line):
    if not line.startswith(("--help", "--resume", "--test", "--analysis")):
        config(line)
    elif line != "--help":
        flags.parse(shlex.split(line, comments=True))


def test_the_page_names_every_flag_in_its_group():
    text = (ROOT / "utils/README.md").read_text()
    for name, field in FIELDS.items():
        (row,) = (
            line for line in text.splitlines() if line.startswith(f"| {field.metadata['group']} |")
        )
        assert f"`--{name}`" in row
