"""The picture of a retrieval: what it tells, odd frames and names, and files that are none."""

import os
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from PIL import Image

from utils.errors import UsageError
from utils.plots import figures, retrieval
from utils.plots.__main__ import main
from utils.plots.draw import draw_all

TABLE = "measure,value,chance,evaluated,gallery\nR@1,0.25,0.125,3783,9537\nR@5,0.75,,3783,9537\n"


def write_retrieval(
    folder: Path,
    found: Sequence[Sequence[str]],
    size: tuple[int, int] = (16, 16),
    table: str = TABLE,
    **changes: np.ndarray,
) -> Path:
    """Write what a retrieval leaves of these queries, each before the classes that it found."""
    names = np.array(found)
    queries, beside = names.shape
    rng = np.random.default_rng(0)
    arrays = {
        "frames": rng.integers(0, 255, (queries, beside, *size, 3), np.uint8),
        "names": names,
        "classes": names,
        "right": names[:, 1:] == names[:, :1],
        "similarity": np.linspace(0.9, -0.1, queries * (beside - 1)).reshape(queries, -1),
    }
    folder.mkdir(exist_ok=True)
    np.savez(folder / "retrieval_shown.npz", **arrays | changes)
    if table:
        (folder / "evaluations.csv").write_text(table)
    return folder


def drawn(folder: Path) -> Figure:
    with matplotlib.rc_context(figures.STYLE):
        return retrieval.draw_retrieval(retrieval.read_shown(folder), retrieval.read_title(folder))


def told(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.texts]


def test_right_and_wrong_videos_differ_in_sign_and_in_colour(tmp_path):
    frames = np.zeros((2, 3, 4, 4, 3), np.uint8)
    frames[:] = np.arange(6).reshape(2, 3, 1, 1, 1)
    folder = write_retrieval(
        tmp_path, [["run", "run", "sit"], ["sit", "run", "sit"]], frames=frames
    )
    figure = drawn(folder)
    captions = [text for text in told(figure) if text in ("run", "sit") or text[0] in "✓✗"]
    assert captions[1:] == ["run", "✓ run", "✗ sit", "sit", "✗ run", "✓ sit"]  # behind the legend
    assert [axes.images[0].get_array().max() for axes in figure.axes] == list(range(6))
    edges = [to_hex(axes.spines["top"].get_edgecolor()).upper() for axes in figure.axes]
    right, wrong = figures.GREEN, figures.ORANGE
    assert edges == [figures.DARK, right, wrong, figures.DARK, wrong, right]
    similarities = [text for text in told(figure) if text[-3] == "." and text[-2:].isdigit()]
    assert similarities == ["0.90", "0.57", "0.23", "-0.10"]


@pytest.mark.parametrize(
    ("table", "title"),
    [
        (TABLE, "R@1 25.0% (chance 12.5%): 3783 queries, 9537 videos to find"),
        (TABLE.replace("0.125", ""), "R@1 25.0%: 3783 queries, 9537 videos to find"),
        ("measure,value,chance,evaluated,gallery\nR@1,0.25,0.125,,\n", "R@1 25.0% (chance 12.5%)"),
        ("measure,value,chance,evaluated,gallery\nR@1,,0.125,3783,9537\n", "Retrieval"),
        ("", "Retrieval"),
    ],
)
def test_the_title_tells_the_first_recall_and_its_chance_as_far_as_there_are(
    tmp_path, table, title
):
    assert told(drawn(write_retrieval(tmp_path, [["a", "b"]], table=table)))[0] == title


def test_the_table_of_another_program_is_refused(tmp_path):
    write_retrieval(tmp_path, [["a", "b"]], table="name,value\nx,1\n")
    with pytest.raises(UsageError, match=r"evaluations.csv does not hold the records of a run"):
        draw_all(tmp_path)


@pytest.mark.parametrize("size", [(1, 1), (3, 300), (300, 3), (33, 48)])
@pytest.mark.parametrize("count", [1, 5])
def test_frames_of_any_size_keep_their_shape_and_are_within_the_picture(tmp_path, size, count):
    figure = drawn(write_retrieval(tmp_path, [["a"] * (1 + count)] * count, size))
    figure.draw_without_rendering()
    wide, high = figure.bbox.size
    for axes in figure.axes:
        box = axes.get_window_extent()
        assert box.height / box.width == pytest.approx(size[0] / size[1], rel=0.01)
        assert 0 < box.x0 < box.x1 < wide
        assert 0 < box.y0 < box.y1 < high
    for text in figure.texts:
        box = text.get_window_extent()
        assert 0 < box.x0 < box.x1 < wide, text.get_text()
        assert 0 < box.y0 < box.y1 < high, text.get_text()


@pytest.mark.filterwarnings("ignore:Glyph")
@pytest.mark.parametrize(
    "name",
    ["W" * 50, "i" * 50, "名字" * 20, "$x_{1$ \\frac", "a\nb\tc", "é̀ 🎾", "half \udcff", "", "$"],
)
def test_names_of_any_kind_end_before_the_next_frame(tmp_path, name):
    figure = drawn(write_retrieval(tmp_path, [[f"q{name}"] + [name] * 2]))
    figure.draw_without_rendering()
    query, first, second = (axes.get_window_extent() for axes in figure.axes)
    captions = [text.get_window_extent() for text in figure.texts if text.get_text()[:1] in "q✗"]
    captions = [box for box in captions if box.y1 < query.y0]
    for box, following in zip(captions, (first, second), strict=False):
        assert box.x1 < following.x0
    assert len(captions) == 3
    draw_all(tmp_path)


def test_short_names_are_whole_and_long_ones_end_in_dots():
    assert retrieval.fitted("TranslateLeft", 2.0) == "TranslateLeft"
    assert retrieval.fitted("a b c d e f g h i j", 0.3).endswith("…")
    assert " …" not in retrieval.fitted("a b c d e f g h i j", 0.3)
    assert retrieval.fitted("W", 0.0) == "…"


def test_the_command_draws_a_retrieval_again(tmp_path, capsys):
    folder = write_retrieval(tmp_path / "retrieve_epoch8", [["a", "b", "a"]])
    assert main([str(folder)]) == 0
    written = [str(folder / name) for name in ("retrieval.png", "report.html")]
    assert capsys.readouterr().out.split() == written
    first = Image.open(folder / "retrieval.png").tobytes()
    assert main([str(folder)]) == 0
    assert Image.open(folder / "retrieval.png").tobytes() == first


def test_files_with_more_than_has_room_are_drawn_in_part(tmp_path):
    figure = drawn(write_retrieval(tmp_path, [["a"] * 21] * 15, (2, 2)))
    assert len(figure.axes) == retrieval.MOST_QUERIES * (1 + retrieval.MOST_FOUND)


@pytest.mark.parametrize(
    "changes",
    [
        {"frames": np.zeros((1, 3, 4, 4), np.uint8)},
        {"frames": np.zeros((1, 3, 4, 4, 4), np.uint8)},
        {"frames": np.zeros((1, 3, 4, 4, 3))},
        {"frames": np.zeros((1, 2, 4, 4, 3), np.uint8)},
        {"frames": np.zeros((1, 3, 0, 4, 3), np.uint8)},
        {"classes": np.array([["a", "b"]])},
        {"classes": np.array([["a", object(), None]])},
        {"right": np.array([True, False])},
        {"right": np.zeros((0, 2), bool)},
        {"similarity": np.array([["a", "b"]])},
        {"similarity": np.array([[0.5]])},
    ],
)
def test_arrays_that_no_retrieval_writes_are_refused(tmp_path, changes):
    write_retrieval(tmp_path, [["a", "b", "c"]], **changes)
    with pytest.raises(UsageError, match=r"retrieval_shown.npz: can't be read .*; retrieve again"):
        draw_all(tmp_path)


def test_files_that_are_no_arrays_are_refused(tmp_path):
    path = write_retrieval(tmp_path, [["a", "b"]]) / "retrieval_shown.npz"
    content = path.read_bytes()

    def refused() -> None:
        with pytest.raises(UsageError, match=r"retrieval_shown.npz: can't be read"):
            draw_all(tmp_path)

    for damaged in (b"", content[: len(content) // 2], b"PK" + content[5:]):
        path.write_bytes(damaged)
        refused()
    path.unlink()
    os.mkfifo(path)
    refused()
    path.unlink()
    path.symlink_to("nowhere")
    refused()
