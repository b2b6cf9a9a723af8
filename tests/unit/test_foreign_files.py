"""Files that others made: read if they hold weights and plain values, else told apart."""

import argparse
import bz2
import collections
import datetime
import gzip
import io
import json
import lzma
import os
import pathlib
import pickle
import shlex
import struct
import tarfile
import types
import zipfile
from collections.abc import Callable

import numpy as np
import pytest
import torch

from utils.errors import UsageError
from utils.runs.reading import read_checkpoint

WEIGHTS = {"layer.weight": torch.arange(1000.0)}


def saved(content: object, legacy: bool = False, **options) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, _use_new_zipfile_serialization=not legacy, **options)
    return file.getvalue()


WHOLE, LEGACY = saved({"state_dict": WEIGHTS}), saved({"state_dict": WEIGHTS}, legacy=True)


def parts_of(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        return {name: file.read(name) for name in file.namelist()}


def zipped(
    parts: dict[str, bytes], compression: int = zipfile.ZIP_STORED, twice: str = ""
) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
        if twice:
            archive.NameToInfo.pop(twice)
            archive.writestr(twice, parts[twice])
    return file.getvalue()


def with_part(name: str, change: Callable[[bytes], bytes]) -> bytes:
    return zipped({n: change(d) if n.endswith(name) else d for n, d in parts_of(WHOLE).items()})


def with_pickle(opcodes: bytes) -> bytes:
    return with_part("data.pkl", lambda _: b"\x80\x02" + opcodes + b".")


def with_byte(data: bytes, start: bytes, offset: int, value: int) -> bytes:
    """Set a byte after a start, of the file's last part."""
    place = data.rindex(start) + offset
    return data[:place] + bytes([value]) + data[place + 1 :]


def tarred() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        member = tarfile.TarInfo("model.pth")
        member.size = len(WHOLE)
        archive.addfile(member, io.BytesIO(WHOLE))
    return file.getvalue()


def numpy_file(save: Callable) -> bytes:
    file = io.BytesIO()
    save(file, np.ones(3))
    return file.getvalue()


HEADER = json.dumps({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
STORAGE = next(name for name in parts_of(WHOLE) if name.endswith("data/0"))

FOREIGN = {
    "empty": (b"", "is empty"),
    "a pointer of Git LFS": (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
    "a web page": (b"\n<!DOCTYPE html><html>Virus scan warning", "is a web page"),
    "a web page in capitals": (b"\xef\xbb\xbf<HTML>Sign in</HTML>", "is a web page"),
    "gzip": (gzip.compress(WHOLE), "is compressed with gzip"),
    "a gzipped tar": (gzip.compress(tarred()), "is compressed with gzip"),
    "bzip2": (bz2.compress(WHOLE), "is compressed with bzip2"),
    "xz": (lzma.compress(WHOLE), "is compressed with xz"),
    "tar": (tarred(), "is a tar archive"),
    "zip": (zipped({"a/model.pth.tar": WHOLE}), "is a zip archive of 'a/model.pth.tar'; unpack it"),
    "an empty zip": (zipped({}), "is an empty zip archive"),
    "NumPy's zip": (numpy_file(np.savez), "is an archive of NumPy arrays"),
    "an array": (numpy_file(np.save), "is an array of NumPy"),
    "TorchScript": (zipped({"m/constants.pkl": b"", "m/data.pkl": b""}), "is a TorchScript"),
    "safetensors": (struct.pack("<Q", len(HEADER)) + HEADER + bytes(4), "is a safetensors file"),
    "ONNX": (b"\x08\x07\x12\x07pytorch\x1a\x051.13", "is an ONNX model"),
    "TensorFlow": (b"\x08\x01\x12\xfa\x01", "is a file of TensorFlow"),
    "TensorFlow's list": (b'model_checkpoint_path: "model.ckpt-1"\n', "is a file of TensorFlow"),
    "Keras": (b"\x89HDF\r\n\x1a\n", "is an HDF5 file"),
    "JSON": (b'{"weight_map": {}}', "is JSON"),
    "text": (b"hello\n", "is a text file"),
    "a picture": (b"\xff\xd8\xff\xe0", "is an image or a video"),
    "a pickle": (pickle.dumps({"state_dict": 1}, 4), "is a pickle of another form"),
    "zeros": (bytes(4096), "is no checkpoint"),
    "a cut zip": (WHOLE[: len(WHOLE) // 2], "is damaged or cut off"),
    "an encrypted zip": (with_byte(WHOLE, b"PK\1\2", 8, 1), "is encrypted; unpack it"),
    "a zip of another kind": (with_byte(WHOLE, b"PK\1\2", 8, 32), "is damaged or cut off"),
    "the start of a zip": (WHOLE[:10], "is damaged or cut off"),
    "a cut older file": (LEGACY[: len(LEGACY) // 2], "can't be loaded"),
    "an older file without its last byte": (LEGACY[:-1], "can't be loaded"),
    "another byte": (WHOLE.replace(struct.pack("<f", 500), struct.pack("<f", 501)), "was damaged"),
    "a list": (saved([1]), "holds no dictionary"),
    "a tensor": (saved(torch.ones(2)), "holds no dictionary"),
}

DECLARED = {
    "deflated parts": (zipped(parts_of(WHOLE), zipfile.ZIP_DEFLATED), "has compressed parts"),
    "a bomb": (
        zipped({**parts_of(WHOLE), STORAGE: bytes(50 << 20)}, zipfile.ZIP_DEFLATED),
        "has compressed parts",
    ),
    "two parts of one name": (
        zipped(parts_of(WHOLE), twice=STORAGE),
        "holds two parts of one name",
    ),
    "no storage": (
        zipped({n: d for n, d in parts_of(WHOLE).items() if n != STORAGE}),
        "can't be loaded",
    ),
    "a short storage": (with_part("data/0", lambda data: data[:8]), "can't be loaded"),
    "larger tensors": (
        with_part("data.pkl", lambda data: data.replace(b"M\xe8\x03", b"J\xff\xff\xff\x7f")),
        "can't be loaded",
    ),
    "larger tensors in an older file": (
        LEGACY.replace(b"M\xe8\x03", b"J\xff\xff\xff\x7f"),
        "its tensors need more bytes than the file has",
    ),
    "many bytes": (with_pickle(b"cbuiltins\nbytearray\nJ\xff\xff\xff\x7f\x85R"), "arrays of bytes"),
    "a large array": (with_pickle(b"cnumpy\nndarray\n" + b"J\xff\xff\xff\x7f" * 2 + b"\x86\x85R"),
                      "can't be loaded"),
    "a memo": (with_pickle(b"}r\xff\xff\xff\xffj\xff\xff\xff\x7f"), "can't be loaded"),
    "an empty stack": (with_pickle(b"R"), "can't be loaded"),
    "deep lists": (with_pickle(b"]" * 9999 + b"a" * 9998), "holds no dictionary"),
}  # fmt: skip


@pytest.mark.parametrize("kind", [*FOREIGN, *DECLARED])
def test_a_file_that_is_no_checkpoint_is_told_in_one_line(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data, told = {**FOREIGN, **DECLARED}[kind]
    pathlib.Path("it.pth.tar").write_bytes(data)
    with pytest.raises(UsageError) as raised:
        read_checkpoint("it.pth.tar", "pretrained")
    assert str(raised.value).startswith("--pretrained it.pth.tar: ")
    assert told in str(raised.value)
    assert "\n" not in str(raised.value)


def test_what_is_no_regular_file_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("nothing")
    for name, told in (("pipe", "is no regular file"), (".", "is a folder"), ("link", "no such")):
        with pytest.raises(UsageError, match=told):
            read_checkpoint(tmp_path / name, "test")
    for name in ("x" * 300, "a\0b"):
        with pytest.raises(UsageError, match="can't be read"):
            read_checkpoint(name, "test")


@pytest.mark.parametrize("name", ["model.ckpt.index", "model.data-00000-of-00001", "frozen.pb"])
def test_files_of_tensorflow_are_told_by_their_names(name, tmp_path):
    (tmp_path / name).write_bytes(b"\0\1\2\3")
    with pytest.raises(UsageError, match="is a file of TensorFlow"):
        read_checkpoint(tmp_path / name, "pretrained")


BESIDE = {
    "a namespace": argparse.Namespace(lr=0.1, steps=[1, 2], path=pathlib.Path("a")),
    "a simple namespace": types.SimpleNamespace(a=1),
    "a defaultdict": collections.defaultdict(list, a=[1]),
    "an OrderedDict": collections.OrderedDict(a=1),
    "a counter": collections.Counter("aab"),
    "paths": [pathlib.Path("/a/b"), pathlib.PureWindowsPath("c:/a")],
    "times": [datetime.datetime(2020, 1, 1), datetime.timedelta(1)],
    "NumPy's numbers": [np.float64(1), np.int32(1), np.bool_(True), np.complex64(1), np.str_("x")],
    "NumPy's random state": np.random.RandomState(1).get_state(),
    "sets": [{1}, frozenset([1]), range(3), slice(1)],
    "numbers of any size": [10**600, 1j, b"abc"],
    "torch's own": [torch.float16, torch.device("cpu"), torch.Size([1])],
}


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("kind", BESIDE)
def test_plain_things_beside_the_weights_are_read(kind, legacy, tmp_path):
    path = tmp_path / "it.pth.tar"
    path.write_bytes(saved({"args": BESIDE[kind], "state_dict": WEIGHTS}, legacy=legacy))
    read = read_checkpoint(path, "pretrained")["state_dict"]
    assert torch.equal(read["layer.weight"], WEIGHTS["layer.weight"])


LAYER = torch.nn.ParameterDict({"weight": WEIGHTS["layer.weight"]})


class Settings:
    """A type of someone's own."""


@pytest.mark.parametrize(
    "content",
    [
        {"state_dict": WEIGHTS, "settings": Settings()},
        {"state_dict": collections.defaultdict(Settings, WEIGHTS)},
        {"model": torch.nn.ModuleDict({"layer": LAYER})},
        {**WEIGHTS, "random": np.random.default_rng(1)},
    ],
)
def test_another_type_is_named_with_the_lines_that_save_the_weights_alone(content, tmp_path):
    path = tmp_path / 'it\'s "it".pth.tar'
    path.write_bytes(saved(content))
    with pytest.raises(UsageError, match=r"Settings\)|ModuleDict\)|generator_ctor\)") as raised:
        read_checkpoint(path, "pretrained")
    told, _, command = str(raised.value).partition("python -c ")
    assert "only if you trust it" in told
    (code,) = shlex.split(command)
    exec(code, {})
    read = read_checkpoint(tmp_path / 'it\'s "it"_weights.pth.tar', "pretrained")["state_dict"]
    assert torch.equal(read["layer.weight"], WEIGHTS["layer.weight"])
