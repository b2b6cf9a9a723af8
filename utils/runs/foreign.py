"""What a file is that is no checkpoint, told from its first bytes, its parts, or its name."""

import mmap
import re
import zipfile
from typing import BinaryIO

HEAD = 512  # bytes that tell what a file is
AGAIN = "copy or download it again"
UNPACK = "unpack it and name the checkpoint in it"
ONE_OF_TORCH = "name one that torch.save wrote"
LEGACY_START = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # of torch.save before zip files
ZIP_START = b"PK\x03\x04"
ENCRYPTED = 1  # a bit of a zip file's flags
BYTEARRAYS = (b"builtins\nbytearray\n", b"__builtin__\nbytearray\n")

# how a file starts, or where it holds something → what it is; the first that fits counts
STARTS = (
    (rb"version https://git-lfs", "is a pointer of Git LFS; get the file itself with git lfs pull"),
    (
        rb"(\xef\xbb\xbf)?\s*<(!doctype|html|head|body|\?xml|!--)",
        "is a web page, as of a download that asks for something first; download the file itself",
    ),
    (rb"\x1f\x8b", f"is compressed with gzip; {UNPACK}"),
    (rb"BZh", f"is compressed with bzip2; {UNPACK}"),
    (rb"\xfd7zXZ", f"is compressed with xz; {UNPACK}"),
    (rb"\x28\xb5\x2f\xfd|\x04\x22\x4d\x18", f"is compressed with zstd or lz4; {UNPACK}"),
    (rb"7z\xbc\xaf|Rar!", f"is an archive (7z or rar); {UNPACK}"),
    (rb"(?s).{257}ustar", f"is a tar archive; {UNPACK}"),
    (rb"PK\x05\x06", "is an empty zip archive"),
    (rb"\x89HDF\r\n", f"is an HDF5 file, as Keras saves them; {ONE_OF_TORCH}"),
    (rb"\x93NUMPY", f"is an array of NumPy; {ONE_OF_TORCH}"),
    (rb"(?s).{4}TFL3", f"is a model of TensorFlow Lite; {ONE_OF_TORCH}"),
    (rb"\x08\x01\x12|model_checkpoint_path", f"is a file of TensorFlow; {ONE_OF_TORCH}"),
    (rb"(?s)\x08[\x02-\x20].{0,40}(\x12|pytorch)", f"is an ONNX model; {ONE_OF_TORCH}"),
    (
        rb"(?s).{5}\x00{3}\{",
        "is a safetensors file; load it with safetensors and save the weights with torch.save",
    ),
    (
        rb"\x80[\x02-\x05]",
        "is a pickle of another form than torch.save's; save the weights with torch.save",
    ),
    (rb"\xff\xd8\xff|\x89PNG|GIF8|(?s:.{4})ftyp|RIFF", "is an image or a video"),
    (rb"\s*[\[{]", f"is JSON, perhaps a list of the files of a model; {ONE_OF_TORCH}"),
    (rb"[\x09\x0a\x0d\x20-\x7e]+\Z", f"is a text file; {ONE_OF_TORCH}"),
)
NAMES = (
    (r"\.(index|meta|pb|data-\d+-of-\d+)$", f"is a file of TensorFlow; {ONE_OF_TORCH}"),
    (r"\.onnx$", f"is an ONNX model; {ONE_OF_TORCH}"),
)


def fault_of(file: BinaryIO, name: str) -> str | None:
    """Return what the open file is, if it is no checkpoint, and what to do about it.

    What torch.load would unpack must not be larger than the file.
    """
    head = file.read(HEAD)
    if not head:
        return f"is empty; {AGAIN}"
    if head.startswith((ZIP_START, LEGACY_START)):
        return _fault_of_zip(file) if head.startswith(ZIP_START) else _fault_of_pickles(file)
    by_start = (what for start, what in STARTS if re.match(start, head, re.IGNORECASE))
    by_name = (what for end, what in NAMES if re.search(end, name))
    other = f"is no checkpoint (it starts with {head[:8]!r}); {ONE_OF_TORCH}"
    return next(by_start, None) or next(by_name, other)


def _fault_of_zip(file: BinaryIO) -> str | None:
    try:
        with zipfile.ZipFile(file) as parts:
            return _fault_of_parts(parts, file.seek(0, 2)) or _fault_of_pickles(file)
    except Exception:  # zipfile raises anything for a damaged file
        return f"is damaged or cut off; {AGAIN}"


def _fault_of_parts(parts: zipfile.ZipFile, size: int) -> str | None:
    infos, names = parts.infolist(), parts.namelist()
    ends = [name.rsplit("/", 1)[-1] for name in names]
    if "constants.pkl" in ends:
        return f"is a TorchScript program; {ONE_OF_TORCH} of the model's state_dict()"
    if "data.pkl" not in ends:
        if all(name.endswith(".npy") for name in names):
            return f"is an archive of NumPy arrays; {ONE_OF_TORCH}"
        return f"is a zip archive of {names[0][:60]!r}; {UNPACK}"
    if len(set(names)) < len(names):
        return f"holds two parts of one name; {ONE_OF_TORCH}"
    if any(info.flag_bits & ENCRYPTED for info in infos):
        return f"is encrypted; {UNPACK}"
    if any(info.compress_type or info.file_size != info.compress_size for info in infos):
        return f"has compressed parts, which torch.save doesn't write; {ONE_OF_TORCH}"
    if sum(info.file_size for info in infos) > size:
        return f"has parts that are larger than the file; {ONE_OF_TORCH}"
    if parts.testzip() is not None:
        return f"was damaged after it was written; {AGAIN}"
    return None


def _fault_of_pickles(file: BinaryIO) -> str | None:
    """Find the one thing that torch's unpickler makes at any size: bytes, of a mere number."""
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if any(content.find(name) >= 0 for name in BYTEARRAYS):
            return f"holds arrays of bytes, which no weights are; {ONE_OF_TORCH}"
    return None
