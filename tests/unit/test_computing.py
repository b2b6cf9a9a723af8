"""Everything that is computed of recorded passes, and the command that does it."""

import dataclasses
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from analysis_records import Made, write_analysis
from analysis_tables import Computed, write_computed
from utils.analysis import compute as computing
from utils.analysis import decoding, embedding
from utils.analysis.__main__ import find_run, main
from utils.analysis.compute import ARRAYS, TABLES, compute
from utils.analysis.drawing import draw
from utils.analysis.recorded import POST, PRE, Pass, read_pass
from utils.errors import UsageError

PASSES = (Pass(8, POST), Pass(9, PRE), Pass(9, POST))
TINY = Made(passes=PASSES, modules=("encoder", "predictive"), clips=60)
ONE = Made(passes=PASSES[-1:], modules=("encoder",), clips=40)


@pytest.fixture(autouse=True)
def two_splits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "SPLITS", 2)


def computed(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


def test_all_files_are_written_and_again_with_the_same_bytes(tmp_path):
    folder = write_analysis(tmp_path, TINY)
    compute(tmp_path)
    first = computed(folder)
    assert set(first) == {*TABLES, *ARRAYS}
    compute(tmp_path)
    assert computed(folder) == first


def test_the_columns_are_those_of_the_readme_and_no_column_is_empty(tmp_path):
    folder = write_analysis(tmp_path, TINY)
    compute(tmp_path)
    readme = (Path(computing.__file__).parent / "README.md").read_text()
    section = readme.split("## Computed")[1].split("## Drawn")[0]
    for name in TABLES:
        table = pd.read_csv(folder / name)
        row = next(line for line in section.splitlines() if line.startswith(f"| `{name}` |"))
        told = [row.find(f"`{column}`") for column in table.columns]
        assert -1 not in told, (name, list(table.columns))
        assert told == sorted(told), name
        assert table.notna().any().all(), name


def test_made_up_tables_have_the_columns_of_computed_ones(tmp_path):
    folder = write_computed(tmp_path, Computed())
    for path in folder.glob("*.csv"):
        assert tuple(pd.read_csv(path).columns) == TABLES[path.name]._fields, path.name


def test_the_arrays_have_the_names_and_shapes_of_the_readme(tmp_path):
    folder = write_analysis(tmp_path, TINY)
    compute(tmp_path)
    nodes, rsm, tuning = (np.load(folder / name) for name in ARRAYS)
    assert nodes["epoch9_pre_predictive_error"].shape == (6, 2, 2)
    assert rsm["epoch9_pre_predictive_error"].shape == (120, 120)
    assert sorted(rsm["epoch9_pre_rows"]) == list(range(120))
    assert tuning["epoch8_post_stage3_dsi"].shape == (6,)
    usi = pd.read_csv(folder / "usi.csv")
    row = usi[(usi["epoch"] == 8) & (usi["over"] == "all")].iloc[0]
    np.testing.assert_allclose(row["mean"], nodes["epoch8_post_encoder_activation"].mean(), 1e-5)


def test_responses_are_relative_to_the_first_pass_of_the_same_when(tmp_path):
    folder = write_analysis(tmp_path, TINY)
    compute(tmp_path)
    table = pd.read_csv(folder / "responses.csv")
    post = table[table["when"] == "post"].set_index(["epoch", "module", "kind", "image"])
    later, first = post.loc[9], post.loc[8]
    np.testing.assert_allclose(later["relative"], later["mean_abs"] / first["mean_abs"], 1e-5)
    assert (table[table["when"] == "pre"]["relative"] == 1).all()
    recorded = read_pass(folder, PASSES[0])
    group = recorded.group("B")
    count = recorded.statistics["count"][:, group]
    mean = np.average(recorded.statistics["encoder_error_mean"][:, group], axis=0, weights=count)
    row = first.loc["encoder", "error", "B"]
    assert row["blocks"] == count.sum()
    np.testing.assert_allclose(
        row[["mean", "mean_abs"]].astype(float), [mean.mean(), abs(mean).mean()], 1e-5
    )


def test_one_pass_of_one_module_has_nothing_to_compare(tmp_path, caplog):
    caplog.set_level("INFO")
    folder = write_analysis(tmp_path, ONE)
    compute(tmp_path)
    assert set(computed(folder)) == {*TABLES, *ARRAYS} - {
        "usi_correlation.csv",
        "rsm_similarity.csv",
    }
    assert {told.split(",")[0] for told in caplog.messages if "csv" in told} >= {
        "usi_correlation.csv: left out",
        "rsm_similarity.csv: left out",
    }


def test_without_unexpected_images_there_is_no_usi_and_older_files_of_it_are_removed(tmp_path):
    folder = write_analysis(tmp_path, ONE)
    compute(tmp_path)
    assert (folder / "usi.csv").exists()
    write_analysis(
        tmp_path, Made(passes=ONE.passes, modules=("encoder",), unexpected=False, clips=40)
    )
    compute(tmp_path)
    assert not [name for name in computed(folder) if name.startswith("usi")]
    assert set(pd.read_csv(folder / "responses.csv")["image"]) == set("ABCDG")


def test_videos_are_analysed_by_class(tmp_path, caplog):
    caplog.set_level("INFO")
    made = Made(
        passes=PASSES,
        modules=("encoder", "contextual"),
        videos=True,
        unexpected=False,
        steps=1,
        clips=60,
    )
    folder = write_analysis(tmp_path, made)
    compute(tmp_path)
    assert set(computed(folder)) == {
        *("responses.csv", "rsm.csv", "rsm_similarity.csv", "conditions.csv", "decoding.csv"),
        *("embedding.csv", "rsm.npz"),
    }
    told = "\n".join(caplog.messages)
    assert "usi.csv: left out, since there are no blocks of D and of U" in told
    assert "decoding.csv: no orientation, since" in told
    assert "tuning.csv: left out, since it needs three orientations or more that divide" in told
    table = pd.read_csv(folder / "decoding.csv")
    assert set(table["target"]) == {"image"}
    assert set(table["classes"]) == {3}
    assert set(pd.read_csv(folder / "rsm_similarity.csv")["level"]) == {"blocks", "conditions"}


def test_measured_responses_are_compared_and_leave_no_trace_in_the_next_call(tmp_path):
    folder = write_analysis(tmp_path, ONE)
    compute(tmp_path)
    conditions = pd.read_csv(folder / "conditions.csv")
    np.save(tmp_path / "brain.npy", np.random.default_rng(0).normal(size=(len(conditions), 9)))
    compute(tmp_path, neural=tmp_path / "brain.npy")
    table = pd.read_csv(folder / "rsm_similarity.csv")
    assert table["first"].tolist() == ["epoch9_post:encoder"] * 2
    assert table["second"].tolist() == ["neural"] * 2
    assert table["rows"].tolist() == [len(conditions)] * 2
    compute(tmp_path)
    assert not (folder / "rsm_similarity.csv").exists()


def test_an_index_that_the_orientations_do_not_allow_is_told(tmp_path, caplog):
    caplog.set_level("INFO")
    orientations = (0.0, 45.0, 90.0, 135.0)
    made = dataclasses.replace(ONE, orientations=orientations, unexpected=False)
    compute(write_analysis(tmp_path, made).parent)
    needed = "three orientations or more that divide 360° evenly"
    assert f"tuning.csv: no DSI, which needs {needed}" in caplog.messages


def test_an_analysis_on_the_clips_of_an_epoch_has_a_folder_of_its_own(tmp_path):
    write_analysis(tmp_path, Made(passes=ONE.passes, modules=("encoder",), clips_of=9, clips=40))
    with pytest.raises(UsageError, match="no recorded pass there"):
        compute(tmp_path)
    compute(tmp_path, clips_of=9)
    assert (tmp_path / "analysis_epoch9" / "usi.csv").exists()


def test_umap_is_added_where_it_is_installed(tmp_path, monkeypatch):
    states = []

    class Umap:
        def __init__(self, n_components: int, random_state: int):
            states.append((n_components, random_state))

        def fit_transform(self, vectors: np.ndarray) -> np.ndarray:
            return vectors[:, :2] + 1

    monkeypatch.setitem(sys.modules, "umap", SimpleNamespace(UMAP=Umap))
    monkeypatch.setattr(embedding, "has_umap", lambda: True)
    folder = write_analysis(tmp_path, ONE)
    compute(tmp_path)
    compute(tmp_path)
    table = pd.read_csv(folder / "embedding.csv")
    assert table["method"].value_counts().to_dict() == {"pca": 80, "umap": 80}
    vectors = np.load(folder / "recorded" / "epoch9_post_vectors.npz")["encoder_activation"]
    found = table[table["method"] == "umap"]
    np.testing.assert_allclose(found[["x", "y"]], vectors[:, :2] + 1, 1e-5)
    assert states[0] == states[1]
    assert states[0][0] == 2


@pytest.mark.parametrize("ending", [".npz", "_vectors.npz", "_blocks.csv", ".json"])
@pytest.mark.parametrize("share", [0, 0.5, 0.9])
def test_a_damaged_file_is_told_in_one_line_and_nothing_is_written(tmp_path, ending, share):
    folder = write_analysis(tmp_path, Made(passes=ONE.passes, modules=("encoder",), clips=20))
    path = folder / "recorded" / f"epoch9_post{ending}"
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(UsageError, match="epoch9_post") as told:
        compute(tmp_path)
    assert "record" in str(told.value) or "JSON" in str(told.value)
    assert computed(folder) == {}


def test_flipped_bytes_in_an_array_are_told_in_one_line(tmp_path):
    folder = write_analysis(tmp_path, Made(passes=ONE.passes, modules=("encoder",), clips=20))
    path = folder / "recorded" / "epoch9_post_vectors.npz"
    content = bytearray(path.read_bytes())
    content[600] ^= 255
    path.write_bytes(content)
    with pytest.raises(UsageError, match="epoch9_post: can't be read"):
        compute(tmp_path)


def test_responses_that_are_not_finite_are_told_in_one_line(tmp_path):
    folder = write_analysis(tmp_path, Made(passes=ONE.passes, modules=("encoder",), clips=20))
    recorded = read_pass(folder, ONE.passes[0])
    vectors = {name: recorded.vectors[name] for name in recorded.vectors}
    vectors["encoder_error"][3, 1] = np.inf
    np.savez(folder / "recorded" / "epoch9_post_vectors.npz", **vectors)
    with pytest.raises(UsageError, match="encoder_error: values that are not finite"):
        compute(tmp_path)


@pytest.mark.parametrize("clips", [1, 2, 4])
@pytest.mark.parametrize("kind", [{}, {"unexpected": False}, {"unexpected": False, "videos": True}])
def test_few_clips_leave_out_what_needs_more(tmp_path, clips, kind):
    made = Made(passes=PASSES, modules=("encoder",), clips=clips, **kind)
    if not kind:  # U and D must be there, for the permutations of the records
        made = dataclasses.replace(made, clips=clips + 12)
    folder = write_analysis(tmp_path, made)
    compute(tmp_path)
    assert {"responses.csv", "embedding.csv", "rsm.npz"} <= set(computed(folder))


# ---- the command ----


def test_the_command_computes_draws_and_prints_the_page(tmp_path, capsys, monkeypatch):
    folder = write_analysis(tmp_path, ONE)
    pages = [folder / "usi.png", folder / "report.html"]
    monkeypatch.setattr(draw, "draw", lambda run, clips_of: pages)
    assert main([str(folder)]) == 0
    assert capsys.readouterr().out == f"{folder / 'report.html'}\n"
    assert (folder / "usi.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "the following arguments are required: folder"),
        (["{}/none"], "none: is no folder"),
        (["{}"], "record them first: run_model.py --analysis"),
        (["{}", "--analysis_epoch", "3"], "run_model.py --analysis {} --analysis_epoch 3"),
        (["{}", "--analysis_epoch", "x"], "invalid int value"),
        (["{}", "--analysis_epoch", "-1"], "name an epoch, from 0 on"),
        (["{}/run", "--neural", "{}/none.npy"], "none.npy: no such file"),
        (["{}/run/analysis", "--analysis_epoch", "2"], "differ; leave one of them out"),
    ],
)
def test_wrong_input_is_told_in_one_line(tmp_path, capsys, arguments, told):
    write_analysis(tmp_path / "run", Made(passes=ONE.passes, modules=("encoder",), clips=20))
    assert main([argument.format(tmp_path) for argument in arguments]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1].startswith("python -m utils.analysis: ")
    assert told.format(tmp_path) in lines[-1]
    assert len([line for line in lines if not line.startswith("computing")]) == 1


def test_the_folder_of_an_analysis_stands_for_its_run(tmp_path):
    write_analysis(tmp_path, ONE)
    write_analysis(tmp_path, Made(passes=ONE.passes, modules=("encoder",), clips=20, clips_of=4))
    assert find_run(tmp_path, None) == (tmp_path, None)
    assert find_run(tmp_path, 4) == (tmp_path, 4)
    assert find_run(tmp_path / "analysis", None) == (tmp_path, None)
    assert find_run(tmp_path / "analysis_epoch4", None) == (tmp_path, 4)
    assert find_run(tmp_path / "analysis_epoch4", 4) == (tmp_path, 4)
