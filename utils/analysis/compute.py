"""From recorded passes to tables and arrays, by NumPy alone: the second step of an analysis."""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from utils.analysis import (
    decoding,
    embedding,
    loading,
    neural,
    representations,
    responses,
    tuning,
    usi,
)
from utils.analysis.loading import Condition
from utils.analysis.recorded import Pass, folder_of, list_passes
from utils.errors import UsageError
from utils.files import replacing, write_whole, writing
from utils.logs import log

TABLES: dict[str, Any] = {  # each file's type of rows, whose fields are the columns
    "usi.csv": usi.UsiRow,
    "usi_correlation.csv": usi.CorrelationRow,
    "responses.csv": responses.ResponseRow,
    "rsm.csv": representations.RsmRow,
    "rsm_similarity.csv": representations.SimilarityRow,
    "conditions.csv": Condition,
    "decoding.csv": decoding.DecodingRow,
    "tuning.csv": tuning.TuningRow,
    "embedding.csv": embedding.EmbeddingRow,
}
ARRAYS = ("usi_nodes.npz", "rsm.npz", "tuning_channels.npz")
DIGITS = "%.6g"  # of numbers in tables

Tables = Mapping[str, Sequence[Any]]  # rows by the name of their file
Stored = Mapping[str, Mapping[str, Any]]  # arrays by the name of their file


def compute(run: Path, clips_of: int | None = None, neural: Path | None = None) -> None:
    """Compute everything in README.md's section 'Computed' from a run's recorded passes.

    `clips_of` names the analysis on the clips of one epoch, and `neural` a file of measured
    responses. Files of an earlier call that don't apply any more are removed. Equal records give
    equal bytes. Raises UsageError for missing or damaged records, RunError where the disk fails.
    """
    folder = folder_of(run, clips_of)
    passes = list_passes(folder)
    if not passes:
        if not run.is_dir():
            raise UsageError(f"{run}: is no folder; name that of a run")
        epoch = "" if clips_of is None else f" --analysis_epoch {clips_of}"
        raise UsageError(
            f"{folder}: no recorded pass there; record them first: ",
            f"run_model.py --analysis {run}{epoch}",
        )
    with threadpool_limits(1):  # small matrices gain nothing from more, and rounding could differ
        tables, arrays = measure(folder, passes, neural)
    for name, line in left_out(tables).items():
        log.info("%s: %s", name, line)
    write(folder, tables, arrays)


def measure(folder: Path, passes: Sequence[Pass], measured: Path | None) -> tuple[Tables, Stored]:
    """Return the rows of all tables and all arrays; raises UsageError."""
    tables: dict[str, list[Any]] = {name: [] for name in TABLES}
    arrays: dict[str, dict[str, Any]] = {name: {} for name in ARRAYS}
    nodes: usi.Nodes = {}
    found: list[representations.Representation] = []
    brain = None if measured is None else read_neural(folder, passes, measured)
    seed = loading.seed_of(loading.load_pass(folder, passes[0]))
    for number, of in enumerate(passes, 1):
        log.info("computing with %s (%d of %d)", of.name, number, len(passes))
        recorded = loading.load_pass(folder, of)
        clips = representations.clips_of(recorded)
        usi_rows, usi_nodes = usi.measure(recorded)
        tuning_rows, indices = tuning.measure(recorded)
        nodes |= usi_nodes
        found += representations.represent(recorded, clips)
        tables["usi.csv"] += usi_rows
        tables["responses.csv"] += responses.measure(recorded)
        tables["rsm.csv"] += representations.correlate_images(recorded)
        tables["decoding.csv"] += decoding.measure(recorded)
        tables["tuning.csv"] += tuning_rows
        tables["embedding.csv"] += embedding.measure(recorded, clips.chosen)
        arrays["rsm.npz"] |= representations.shown_matrices(recorded)
        arrays["tuning_channels.npz"] |= indices
    log.info("comparing epochs and modules")
    tables["usi_correlation.csv"] = usi.correlate_epochs(nodes, seed)
    tables["responses.csv"] = responses.relate(tables["responses.csv"])
    tables["rsm_similarity.csv"] = representations.compare_all(found)
    tables["conditions.csv"] = representations.all_conditions([one.clips for one in found])
    if brain is not None:
        tables["rsm_similarity.csv"] += neural.compare_with(brain, found)
    arrays["usi_nodes.npz"] = {
        f"{of.name}_{module}_{kind}": values for (of, module, kind), values in nodes.items()
    }
    return tables, arrays


def read_neural(folder: Path, passes: Sequence[Pass], path: Path) -> neural.Neural:
    """Read measured responses, and find out which rows of the passes they belong to.

    Raises UsageError.
    """
    measured = neural.read_responses(path)
    recorded = [loading.load_pass(folder, of) for of in passes]
    shown = [(one, representations.clips_of(one)) for one in recorded]
    return neural.match(measured, path, shown)


def left_out(tables: Tables) -> dict[str, str]:
    """Return for each table that lacks something what it lacks, and why."""
    lines = {}
    if not tables["usi.csv"]:
        lines["usi.csv"] = "left out, since there are no blocks of D and of U"
    elif not tables["usi_correlation.csv"]:
        lines["usi_correlation.csv"] = "left out, since it needs two epochs"
    if not tables["rsm_similarity.csv"]:
        lines["rsm_similarity.csv"] = "left out, since there are no two passes or modules"
    targets = (decoding.ORIENTATION, decoding.IMAGE)
    decoded = {row.target for row in tables["decoding.csv"]}
    if missing := [target for target in targets if target not in decoded]:
        few = f"there are no two classes of {decoding.FEWEST} blocks"
        lines["decoding.csv"] = f"no {' and no '.join(missing)}, since {few}"
    elif any(row.left_out for row in tables["decoding.csv"]):
        few = f"classes of fewer than {decoding.FEWEST} blocks"
        lines["decoding.csv"] = f"{few} are left out (column left_out)"
    even = "three orientations or more that divide {} evenly"
    if not tables["tuning.csv"]:
        lines["tuning.csv"] = f"left out, since it needs {even.format('180° or 360°')}"
    for name, period in (("osi", "180°"), ("dsi", "360°")):
        if all(np.isnan(getattr(row, f"{name}_mean")) for row in tables["tuning.csv"]):
            lines.setdefault("tuning.csv", f"no {name.upper()}, which needs {even.format(period)}")
    if not tables["embedding.csv"]:
        lines["embedding.csv"] = "left out, since there is no pass after an epoch"
    elif not embedding.has_umap():
        lines["embedding.csv"] = "PCA alone; for UMAP: pip install umap-learn"
    return lines


def write(folder: Path, tables: Tables, arrays: Stored) -> None:
    """Write each file whole, and remove those of an earlier call that would be empty.

    Raises RunError.
    """
    for file, rows in tables.items():
        if rows:
            table = pd.DataFrame(rows, columns=list(TABLES[file]._fields))
            text = table.to_csv(index=False, lineterminator="\n", float_format=DIGITS)
            write_whole(folder / file, text)
        else:
            _remove(folder / file)
    for file, stored in arrays.items():
        path = folder / file
        if stored:
            with writing(path), replacing(path) as temporary, open(temporary, "wb") as target:
                np.savez(target, **stored)
        else:
            _remove(path)


def _remove(path: Path) -> None:
    with writing(path), suppress(FileNotFoundError):
        os.remove(path)
