"""The pictures and the page of an analysis, drawn from what was computed."""

import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from analysis_records import Made, write_analysis
from analysis_tables import CONFIG, Computed, write_computed
from utils.analysis.compute import compute
from utils.analysis.drawing import (
    embedding_figures,
    numbers,
    panels,
    rsm_figures,
    similarity_figures,
    usi_figures,
)
from utils.analysis.drawing.draw import draw
from utils.analysis.drawing.results import Results, read_results, read_table
from utils.analysis.drawing.usi_figures import shown_step
from utils.analysis.recorded import MODULES, POST, PRE, Pass
from utils.errors import RunError, UsageError
from utils.plots import figures, page

OF_USI = {"usi", "usi_distributions", "usi_correlation"}
ALL = OF_USI | {"responses", "rsm", "rsm_by_orientation", "rsm_similarity", "embedding"}
ALL |= {"decoding", "tuning"}
TWO = (Pass(8, POST), Pass(9, POST))
VIDEOS = ("archery", "<b>bowling & co</b>", "nan", "_dive", r"$\frac$")
SMALL = Computed(passes=TWO, modules=MODULES[1:2], blocks=40)


class Seen(HTMLParser):
    """The tags of a page that are open, and what it refers to."""

    def __init__(self, text: str):
        super().__init__()
        self.open: list[str] = []
        self.refers: list[str] = []
        self.alts: list[str] = []
        self.ids: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        told = dict(attributes)
        self.refers += [told[name] for name in ("src", "href", "action", "data") if name in told]
        self.ids += [told["id"]] if "id" in told else []
        if tag == "img":
            self.alts.append(told["alt"])
        if tag not in ("meta", "img", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def drawn(run: Path, made: Computed) -> tuple[set[str], str]:
    """The names of the pictures drawn, and the page."""
    write_computed(run, made)
    paths = draw(run, made.clips_of)
    assert all(path.exists() for path in paths)
    return {path.stem for path in paths if path.suffix == ".png"}, paths[-1].read_text()


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    """A run's folder with a small analysis that is drawn."""
    run = tmp_path_factory.mktemp("small")
    drawn(run, SMALL)
    return run


@pytest.mark.slow
def test_every_picture_is_drawn_and_in_the_page(tmp_path):
    names, text = drawn(tmp_path, Computed(steps=2, methods=("pca", "umap"), neural=True))
    assert names == ALL | {"embedding_umap"}
    seen = Seen(text)
    assert not seen.open
    assert all(seen.alts)
    assert sum(one.startswith("data:image/png;base64,") for one in seen.refers) == len(names)
    assert {f"({name}.png)" for name in names} <= set(re.findall(r"\(\w+\.png\)", text))


@pytest.mark.slow
def test_what_is_computed_from_recorded_passes_is_drawn(tmp_path):
    passes = (Pass(8, POST), Pass(9, PRE), Pass(9, POST))
    write_analysis(tmp_path, Made(passes=passes, clips=60, modules=MODULES[:2]))
    compute(tmp_path)
    names = {path.stem for path in draw(tmp_path)}
    assert names - {"embedding_umap"} == ALL | {"report"}


def test_the_page_needs_nothing_from_elsewhere_and_its_links_lead_to_files(small):
    text = (small / "analysis" / "report.html").read_text()
    seen = Seen(text)
    for one in seen.refers:
        if one.startswith("#"):
            assert one[1:] in seen.ids
        elif not one.startswith("data:"):
            assert (small / "analysis" / one).exists(), one
    assert "<script" not in text
    assert not re.search(r"url\(|@import|https?://", text)
    assert 'name="viewport"' in text


def test_drawing_twice_gives_the_same_page(small, tmp_path):
    shutil.copytree(small, tmp_path / small.name)
    again = draw(tmp_path / small.name)[-1]
    assert again.read_bytes() == (small / "analysis" / "report.html").read_bytes()


def test_without_unexpected_images_the_page_says_so_and_old_pictures_of_it_go(small, tmp_path):
    shutil.copytree(small / "analysis", tmp_path / "analysis")
    for path in (tmp_path / "analysis").glob("usi*.csv"):
        path.unlink()
    names = {path.stem for path in draw(tmp_path)}
    assert not names & OF_USI
    assert len(list((small / "analysis").glob("usi*.png"))) == len(OF_USI)
    assert not list((tmp_path / "analysis").glob("usi*.png"))
    text = (tmp_path / "analysis" / "report.html").read_text()
    assert "no selectivity for it" in text
    assert "<h2" in text
    assert "Selectivity for unexpected" not in text  # no heading with nothing below it


def test_names_of_classes_are_text_in_the_page_and_videos_have_no_tuning(tmp_path):
    (tmp_path / "a <i>run").mkdir()
    made = Computed(passes=TWO, images=VIDEOS, angles=(), modules=MODULES[:1])
    names, text = drawn(tmp_path / "a <i>run", made)
    assert names == ALL - OF_USI - {"tuning", "rsm_by_orientation"}
    assert "<title>Analysis of a &lt;i&gt;run</title>" in text
    assert "<i>" not in text
    assert "<b>" not in text
    assert "videos, which have no" in text
    assert "selectivity of a node for the unexpected" not in text


def test_many_classes_are_summarised_and_the_page_says_it(tmp_path):
    images = tuple(f"class {i}" for i in range(40))
    _, text = drawn(tmp_path, Computed(passes=TWO, images=images, angles=(), modules=MODULES[:1]))
    assert "central 80\N{NO-BREAK SPACE}%" in text
    assert "most frequent ones have a colour" in text


@pytest.mark.parametrize(
    "made",
    [
        Computed(passes=[Pass(5, POST)], modules=MODULES[:2], blocks=30),
        Computed(passes=[Pass(9, PRE)], modules=MODULES[:1], blocks=30),
        Computed(passes=TWO, modules=MODULES[:1], scale=0.0, blocks=30),
        Computed(passes=TWO, modules=MODULES[:1], scale=np.nan, blocks=30),
        Computed(passes=TWO, modules=MODULES[:1], blocks=1),
    ],
    ids=["one pass", "pre alone", "zeros", "missing numbers", "one block"],
)
@pytest.mark.slow
def test_little_or_odd_numbers_are_drawn_without_warnings(tmp_path, made, recwarn):
    names, _ = drawn(tmp_path, made)
    assert {"responses", "usi"} <= names
    assert [str(one.message) for one in recwarn] == []


def test_the_analysis_on_the_clips_of_one_epoch_has_its_own_page(tmp_path):
    write_computed(tmp_path, Computed(passes=TWO, modules=MODULES[:1], clips_of=9, blocks=30))
    assert draw(tmp_path, 9)[-1] == tmp_path / "analysis_epoch9" / "report.html"


def test_a_folder_without_computed_files_or_with_damaged_ones_is_told(tmp_path):
    with pytest.raises(UsageError, match="nothing was computed"):
        draw(tmp_path)
    (tmp_path / "analysis").mkdir()
    (tmp_path / "analysis" / "usi.csv").write_text("epoch,when\n1,post\n")
    with pytest.raises(UsageError, match=r"usi\.csv: can't be read"):
        draw(tmp_path)


def test_arrays_that_are_cut_off_are_told(tmp_path):
    folder = write_computed(tmp_path, SMALL)
    content = (folder / "usi_nodes.npz").read_bytes()
    (folder / "usi_nodes.npz").write_bytes(content[: len(content) // 2])
    with pytest.raises(UsageError, match=r"usi_nodes\.npz: can't be read"):
        draw(tmp_path)


def test_a_picture_that_cannot_be_written_is_told(tmp_path):
    folder = write_computed(tmp_path, SMALL)
    (folder / "responses.png").mkdir()
    with pytest.raises(RunError, match=r"responses\.png"):
        draw(tmp_path)


# ---- reading ----


def test_a_class_named_nan_is_text_and_infinite_numbers_are_missing(tmp_path):
    (tmp_path / "a.csv").write_text("image,mean\nnan,inf\nNA,2\n")
    table = read_table(tmp_path / "a.csv", ("image", "mean"))
    assert table["image"].tolist() == ["nan", "NA"]
    assert np.isnan(table["mean"][0])
    assert table["mean"][1] == 2


def results_with(settings: dict) -> Results:
    table = pd.DataFrame({"epoch": [0, 6, 8, 9, 11], "when": POST, "image": list("DUDUD")})
    return Results(Path(), (), {"responses": table}, settings)


def test_landmarks_are_the_first_epoch_the_last_before_onset_and_the_last():
    assert results_with(CONFIG).landmarks("responses") == [0, 8, 11]
    assert results_with({**CONFIG, "U_prob": 0}).landmarks("responses") == [0, 11]
    assert results_with({}).onset is None


# ---- the axis of epochs ----


def test_an_epochs_passes_lie_on_both_sides_of_its_tick_and_the_onset_between_them():
    axis = panels.EpochAxis((0, 6, 7, 8, 9, 10), 9)
    assert axis.place(9, PRE) < axis.epochs.index(9) < axis.place(9, POST)
    assert axis.start == axis.epochs.index(9)
    assert axis.gaps == [0]
    assert axis._replace(has_pre=False).place(9) == axis.epochs.index(9)
    assert axis._replace(has_pre=False).start == axis.epochs.index(9) - 0.5
    assert axis._replace(onset=20).start is None


def test_epochs_at_equal_distances_have_no_gap():
    assert panels.EpochAxis((0, 5, 10), None).gaps == []
    assert panels.EpochAxis((3,), None).gaps == []


def test_names_at_the_ends_of_lines_keep_their_distance_and_their_order():
    places = panels.spread(np.array([0.0, 0.01, 0.5, 0.98, 0.99, 1.0]), 0.1)
    assert (np.diff(places) > 0.1 - 1e-9).all()
    assert places.min() >= 0
    assert places.max() <= 1
    assert places[2] == 0.5
    assert panels.spread(np.array([0.2, 0.4]), 0.1).tolist() == [0.2, 0.4]


def test_a_density_is_one_at_its_peak_and_lies_where_the_values_are():
    shape = panels.density(np.full(50, 0.25), np.linspace(0, 1, 41))
    assert shape.max() == 1
    assert np.argmax(shape) in (9, 10)
    assert shape[30:].max() < 1e-6
    assert panels.density(np.empty(0), np.linspace(0, 1, 11)).max() == 0


def test_of_many_classes_the_most_frequent_have_a_colour():
    counts = pd.Series({f"c{i}": i for i in range(30)})
    assert set(panels.class_colours(counts)) == {f"c{i}" for i in range(22, 30)}
    assert list(panels.class_colours(pd.Series({"U": 9, "A": 1, "G": 5}))) == ["A", "U", "G"]


def test_a_class_has_one_colour_in_all_matrices_whatever_blocks_they_show(tmp_path):
    images = tuple(f"class {i}" for i in range(40))
    made = Computed(passes=TWO, images=images, angles=(), modules=MODULES[:1], blocks=150)
    write_computed(tmp_path, made)
    results = read_results(tmp_path)
    shown = rsm_figures.read_shown(results)
    figure = rsm_figures.draw_rsm(results, shown, "image")
    coloured = []
    for axes, one in zip(figure.axes, shown, strict=False):
        spans = [patch for patch in axes.patches if patch.get_width() == rsm_figures.STRIP]
        names = sorted(set(one.labels["image"]))
        known = {name: patch.get_facecolor() for name, patch in zip(names, spans, strict=True)}
        gray = to_rgba(figures.NO_DATA)
        coloured.append({name: colour for name, colour in known.items() if colour != gray})
    common = coloured[0].keys() & coloured[1].keys()
    assert len(common) >= 6
    assert all(coloured[0][name] == coloured[1][name] for name in common)


def test_the_step_over_the_onset_is_shown_else_the_last_one():
    table = pd.DataFrame({"when": POST, "epoch": [0, 7, 8, 9], "next_epoch": [7, 8, 9, 10]})
    assert shown_step(table, 9) == (8, 9)
    assert shown_step(table, None) == (9, 10)
    assert shown_step(table, 30) == (9, 10)


def test_similarities_are_of_two_modules_of_two_epochs_or_of_measured_responses():
    rows = [
        ("epoch9_post:encoder", "epoch9_post:contextual"),
        ("epoch8_post:encoder", "epoch9_post:encoder"),
        ("epoch9_pre:encoder", "epoch9_post:encoder"),
        ("epoch9_post:encoder", "neural"),
    ]
    table = similarity_figures.split_names(pd.DataFrame(rows, columns=["first", "second"]))
    assert similarity_figures.of_two_modules(table)["pair"].tolist() == ["encoder–contextual"]
    assert similarity_figures.of_two_epochs(table).index.tolist() == [1, 2]
    measured = similarity_figures.of_measured(table)
    assert measured[["epoch", "when", "module"]].to_numpy().tolist() == [[9, POST, "encoder"]]


def test_nodes_that_respond_alike_to_both_images_have_the_usi_that_noise_gives():
    rng = np.random.default_rng(0)
    counts = {"blocks_D": [100.0, 100.0], "blocks_U": [25.0, np.nan]}
    levels = usi_figures.noise_levels(pd.DataFrame({"epoch": [3, 4], **counts}))
    D, U = rng.normal(size=(2000, 100)), rng.normal(size=(2000, 25))
    usi = (U.mean(1) - D.mean(1)) / np.sqrt((U.var(1) + D.var(1)) / 2)
    assert levels[3] == pytest.approx(np.mean(abs(usi)), rel=0.05)
    assert np.isnan(levels[4])


def test_the_axis_holds_the_distribution_of_every_epoch():
    rng = np.random.default_rng(0)
    narrow, wide = rng.normal(0, 0.1, 10_000), rng.uniform(-3, 3, 100)
    axes = Figure().subplots()
    usi_figures.draw_ridges(axes, [narrow, wide], [0, 1], None, "#000000")
    assert axes.get_xlim()[1] > 2.9


def test_chance_is_drawn_where_it_is_known():
    axes = Figure().subplots()
    axis = panels.EpochAxis((0, 6, 7), None)
    panels.draw_levels(axes, axis, pd.Series({0: 50.0, 7: 25.0}))
    (lines,) = axes.collections
    ends = [segment.tolist() for segment in lines.get_segments()]
    assert ends == [[[-0.5, 50], [0.5, 50]], [[1.5, 25], [2.5, 25]]]


def test_the_scale_of_a_matrix_shows_correlations_that_are_all_close_to_one():
    rng = np.random.default_rng(0)
    matrix = rng.uniform(0.95, 0.99, (50, 50))
    np.fill_diagonal(matrix, 1)
    matrix[3] = matrix[:, 3] = np.nan
    _, low, high = rsm_figures.scale_of(matrix)
    assert 0.95 < low < 0.96
    assert 0.98 < high < 0.99
    _, low, high = rsm_figures.scale_of(matrix - 1.05)
    assert 0.09 < high == -low < 0.1
    _, low, high = rsm_figures.scale_of(np.ones((1, 1)))
    assert low < high


def test_blocks_are_sorted_by_image_orientation_and_step_or_by_orientation_first():
    rows = [("U", 90.0, 1), ("A", 90.0, 1), ("A", 90.0, 0), ("A", 0.0, 1), ("G", np.nan, 0)]
    labels = pd.DataFrame(rows, columns=["image", "orientation", "step"])
    assert rsm_figures.sort_blocks(labels, "image").tolist() == [3, 2, 1, 0, 4]
    assert rsm_figures.sort_blocks(labels, "orientation").tolist() == [3, 2, 1, 0, 4]
    labels["orientation"] = [0.0, 90.0, 90.0, 90.0, np.nan]
    assert rsm_figures.sort_blocks(labels, "orientation").tolist() == [0, 2, 1, 3, 4]


def test_distances_in_an_embedding_are_the_same_in_all_directions():
    axes = Figure().subplots()
    points = pd.DataFrame({"x": [0.0, 10.0], "y": [0.0, 0.1]})
    embedding_figures.draw_points(axes, points, np.zeros((2, 4)))
    axes.apply_aspect()
    assert np.ptp(axes.get_xlim()) == pytest.approx(np.ptp(axes.get_ylim()))


def test_long_names_that_differ_at_their_ends_stay_different():
    names = ("TranslateSomewhereLeft", "TranslateSomewhereLeftFast", "Translate")
    told = [panels.shortened(name) for name in names]
    assert told[2] == "Translate"
    assert len(set(told)) == 3
    assert {len(name) for name in told[:2]} == {panels.LONGEST_NAME}


# ---- the parts of the page ----


def test_tables_tell_counts_as_whole_numbers(tmp_path):
    write_computed(tmp_path, Computed(passes=TWO, nodes=(512, 2, 2), blocks=30))
    results = read_results(tmp_path)
    (correlation,) = numbers.correlation(results)
    assert {page.told(row[-1]) for row in correlation.rows} == {"2048"}
    (usi,) = numbers.usi(results)
    assert {tuple(map(page.told, row[-2:])) for row in usi.rows} == {("2047", "1")}


def test_numbers_have_three_digits_and_missing_ones_a_dash():
    cells = [3, 1.0, 0.04567, -0.5, 123456.0, np.nan, "a"]
    told = ["3", "1.00", "0.0457", "−0.500", "1.23e+05", "–", "a"]
    assert [page.told(cell) for cell in cells] == told


def test_text_and_addresses_are_escaped():
    assert page.escaped('<a href="x">\n&') == "&lt;a href=&quot;x&quot;&gt; &amp;"
    assert page.link("a b.csv", "a<b") == '<a href="a%20b.csv">a&lt;b</a>'
    assert "<td>&lt;i&gt;</td>" in page.table(page.Table("t", ["a"], [["<i>"]]))
