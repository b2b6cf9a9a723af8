"""From what was computed of an analysis to its pictures and its page: the third step."""

import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from utils.analysis.drawing import (
    embedding_figures,
    response_figures,
    rsm_figures,
    similarity_figures,
    usi_figures,
)
from utils.analysis.drawing.report import write_report
from utils.analysis.drawing.results import Results, read_results
from utils.analysis.recorded import POST
from utils.errors import RunError
from utils.files import reason, writing
from utils.plots import figures

Maker = Callable[[], Figure]


def draw(run: Path, clips_of: int | None = None) -> list[Path]:
    """Draw the pictures and write `report.html` in the folder of a run's analysis; return them.

    What the files lack is left out, and the page says why; pictures of an earlier call that don't
    apply any more are removed. `clips_of` names the analysis on the clips of one epoch. Raises
    UsageError where nothing was computed, RunError where the disk fails.
    """
    results = read_results(run, clips_of)
    drawn, lacking = {}, {}
    with matplotlib.rc_context(figures.STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # of a class's name
        for name, make in plan(results).items():
            path = results.folder / f"{name}.png"
            if isinstance(make, str):
                lacking[name] = make
                with writing(path), suppress(FileNotFoundError):
                    path.unlink()
                continue
            try:
                figures.save(make(), path)
            except OSError as error:
                raise RunError(f"can't write {path}: {reason(error)}") from error
            drawn[name] = path
    return [*drawn.values(), write_report(results, run, drawn, lacking)]


def plan(results: Results) -> dict[str, Maker | str]:
    """Return for each picture what makes it, or why it is left out."""
    made: dict[str, Maker | str] = {
        "responses": partial(response_figures.draw_responses, results),
        "usi": partial(usi_figures.draw_usi, results),
        "usi_distributions": partial(usi_figures.draw_distributions, results),
        "usi_correlation": partial(usi_figures.draw_correlation, results),
        "rsm": "",
        "rsm_by_orientation": "",
        "rsm_similarity": partial(similarity_figures.draw_similarity, results),
        "embedding": partial(embedding_figures.draw_embedding, results, "pca"),
        "embedding_umap": partial(embedding_figures.draw_embedding, results, "umap"),
        "decoding": partial(response_figures.draw_decoding, results),
        "tuning": partial(response_figures.draw_tuning, results),
    }
    shown = rsm_figures.read_shown(results)
    if shown:
        made["rsm"] = partial(rsm_figures.draw_rsm, results, shown, "image")
        made["rsm_by_orientation"] = partial(rsm_figures.draw_rsm, results, shown, "orientation")
    has_angles = any(one.labels["orientation"].notna().any() for one in shown)
    return made | reasons(results, bool(shown), has_angles)


def reasons(results: Results, has_rsm: bool, has_angles: bool) -> dict[str, str]:
    """Return why pictures are left out, by their names."""
    lacking = {}
    if results.tables["responses"].empty:
        lacking["responses"] = "No mean responses were computed."
    if results.select("usi", over="all").empty:
        told = (
            "No blocks show the unexpected image U beside D, so there is no selectivity for it."
            if results.are_gabors
            else "The clips are videos, which have no unexpected image U."
        )
        lacking |= dict.fromkeys(("usi", "usi_distributions", "usi_correlation"), told)
    else:
        if results.select("usi", when=POST).empty:
            lacking["usi_distributions"] = "There is no pass with the weights from after an epoch."
        if results.select("usi_correlation", when=POST).empty:
            lacking["usi_correlation"] = "It compares passes after two epochs, and there is one."
    if not has_rsm:
        told = "There are no correlations of a recorded pass with the weights from after an epoch."
        lacking |= dict.fromkeys(("rsm", "rsm_by_orientation"), told)
    elif not has_angles:
        lacking["rsm_by_orientation"] = "The blocks have no orientations to sort them by."
    if all(table.empty for table in similarity_figures.similarities(results)):
        lacking["rsm_similarity"] = "There are no two modules or passes whose RSMs were compared."
    methods = set(results.select("embedding", kind=embedding_figures.KIND)["method"])
    if "pca" not in methods:
        lacking["embedding"] = "There is no pass with the weights from after an epoch."
    if "umap" not in methods:
        lacking["embedding_umap"] = "UMAP was not computed: it needs the package umap-learn."
    if results.tables["decoding"].empty:
        lacking["decoding"] = "No two classes have enough blocks to be told apart."
    if results.select("tuning", when=POST).empty:
        lacking["tuning"] = (
            "The images' orientations don't divide 180° or 360° evenly, so selectivity for them is "
            "not defined."
            if results.are_gabors
            else "The clips are videos, which have no orientations."
        )
    return lacking
