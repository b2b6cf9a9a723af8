"""RSMs and what two representations share: against loops, brute force and known answers."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from analysis_records import Made, write_analysis
from utils.analysis import loading, neural, representations, similarity
from utils.analysis.loading import choose_rows, load_pass
from utils.analysis.recorded import POST, PRE, Pass
from utils.errors import UsageError
from utils.streams import stream

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(12, 5)), RNG.normal(size=(12, 7))
PASSES = (Pass(8, POST), Pass(9, PRE), Pass(9, POST))
SMALL = Made(passes=PASSES, modules=("encoder", "contextual"), clips=60)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_analysis(tmp_path_factory.mktemp("run"), SMALL)


def represented(folder: Path) -> list[representations.Representation]:
    found = []
    for of in PASSES:
        recorded = load_pass(folder, of)
        found += representations.represent(recorded, representations.clips_of(recorded))
    return found


# ---- arithmetic ----


def test_an_rsm_holds_the_correlations_of_rows():
    np.testing.assert_allclose(similarity.similarity_matrix(X), np.corrcoef(X))


def test_a_row_without_variance_has_no_correlations():
    values = X.copy()
    values[3] = 0.1
    matrix = similarity.similarity_matrix(values)
    others = np.delete(np.arange(12), 3)
    assert np.isnan(matrix[3]).all()
    assert np.isnan(matrix[:, 3]).all()
    np.testing.assert_allclose(matrix[np.ix_(others, others)], np.corrcoef(X[others]))


def test_small_responses_as_errors_are_have_the_same_rsm():
    np.testing.assert_allclose(similarity.similarity_matrix(X * 1e-200), np.corrcoef(X))
    np.testing.assert_allclose(similarity.linear_cka(X * 1e-200, Y), similarity.linear_cka(X, Y))


def test_the_triangle_leaves_out_the_diagonal_and_has_each_pair_once():
    found = similarity.below_diagonal(np.arange(16).reshape(4, 4))
    assert found.tolist() == [4, 8, 9, 12, 13, 14]


def test_tau_equals_counting_pairs_with_ties():
    x, y = RNG.integers(6, size=(2, 40))
    concordant = discordant = ties_x = ties_y = 0
    for i, j in combinations(range(40), 2):
        product = (x[i] - x[j]) * (y[i] - y[j])
        concordant += product > 0
        discordant += product < 0
        ties_x += x[i] == x[j]
        ties_y += y[i] == y[j]
    pairs = 40 * 39 / 2
    tau_b = (concordant - discordant) / np.sqrt((pairs - ties_x) * (pairs - ties_y))
    np.testing.assert_allclose(similarity.kendall(x, y), tau_b)


def test_tau_by_hand():
    # of the pairs of 1 2 3 4 with 1 3 2 4, five agree and one doesn't
    assert np.isclose(similarity.kendall(np.array([1, 2, 3, 4]), np.array([1, 3, 2, 4])), 4 / 6)


def hsic(first: np.ndarray, second: np.ndarray) -> float:
    """The biased HSIC of linear kernels, by the matrix that centres."""
    n = len(first)
    H = np.eye(n) - 1 / n
    return np.trace(first @ first.T @ H @ second @ second.T @ H) / (n - 1) ** 2


def test_cka_equals_brute_force_hsic():
    expected = hsic(X, Y) / np.sqrt(hsic(X, X) * hsic(Y, Y))
    np.testing.assert_allclose(similarity.linear_cka(X, Y), expected)


def test_cka_does_not_depend_on_rotation_scale_and_mean():
    rotation = np.linalg.qr(RNG.normal(size=(5, 5)))[0]
    moved = 3.7 * X @ rotation + RNG.normal(size=5)
    np.testing.assert_allclose(similarity.linear_cka(moved, Y), similarity.linear_cka(X, Y))
    np.testing.assert_allclose(similarity.linear_cka(moved, X), 1)
    stretched = X * [10, 1, 1, 1, 1]  # no rotation
    assert similarity.linear_cka(stretched, X) < 0.95


def test_cka_without_variance_between_rows_is_undefined():
    assert np.isnan(similarity.linear_cka(np.ones((12, 1)) * X[0], Y))


def test_representations_are_compared_over_rows_with_variance_in_both():
    x, y = X.copy(), Y.copy()
    x[2], y[7] = 1, np.nan
    kept = np.delete(np.arange(12), [2, 7])
    found, direct = similarity.compare(x, y), similarity.compare(X[kept], Y[kept])
    assert found == direct
    assert found is not None
    assert found.rows == 10
    lower = [similarity.below_diagonal(np.corrcoef(values[kept])) for values in (X, Y)]
    np.testing.assert_allclose(found.r, np.corrcoef(*lower)[0, 1])
    np.testing.assert_allclose(found.tau, similarity.kendall(*lower))
    np.testing.assert_allclose(found.cka, similarity.linear_cka(X[kept], Y[kept]))
    assert similarity.compare(x[:3], y[:3]) is None


def test_condition_means_equal_a_loop():
    condition = np.array([0, 2, 2, -1, 0, 3, 3, 3, 2, -1, 0, 0])
    found = similarity.condition_means(X, condition, 4)
    for one in (0, 2, 3):
        np.testing.assert_allclose(found[one], X[condition == one].mean(0))
    assert np.isnan(found[1]).all()


def test_the_ceiling_is_high_for_conditions_and_low_for_noise():
    condition = np.repeat(np.arange(6), 10)
    signal, noise = np.random.default_rng(0).normal(size=(2, 60, 30))
    means = similarity.condition_means(signal, condition, 6) * 4
    reliable = means[condition] + 0.1 * noise
    rng = np.random.default_rng(1)
    clip = np.arange(60)
    assert similarity.split_half_ceiling(reliable, condition, clip, rng) > 0.99
    assert abs(similarity.split_half_ceiling(noise, condition, clip, rng)) < 0.5


def test_the_ceiling_has_no_clip_in_both_halves_of_a_condition():
    rng = np.random.default_rng(0)
    condition, clip = np.repeat(np.arange(8), 12), np.arange(96) // 3
    of_clip = rng.normal(size=(20, 32, 30))[
        :, clip
    ]  # noise alone, which the blocks of a clip share
    found = [similarity.split_half_ceiling(one, condition, clip, rng) for one in of_clip]
    assert abs(np.mean(found)) < 0.05
    shared = [similarity.split_half_ceiling(one, condition, np.arange(96), rng) for one in of_clip]
    assert np.mean(shared) > 0.1
    assert np.isnan(similarity.split_half_ceiling(of_clip[0], condition, condition, rng))


def test_there_is_no_ceiling_without_variance(recwarn):
    condition, rng = np.repeat(np.arange(4), 3), np.random.default_rng(0)
    assert np.isnan(similarity.split_half_ceiling(np.ones((12, 5)), condition, np.arange(12), rng))
    assert not recwarn.list


def test_constant_values_have_no_correlation():
    for number in range(2, 12):
        found = similarity.correlation(np.full((2, number), [[0.1], [0.3]]), np.arange(number))
        assert np.isnan(found).all()


def test_the_ceiling_is_the_mean_agreement_of_halves_of_each_condition():
    condition = np.array([0, 0, 1, 1, 2, 2, 3, 5, 5, -1, -1, 4])  # 3 and 4 have no halves
    found = similarity.split_half_ceiling(X, condition, np.arange(12), np.random.default_rng(4))
    rng, agreement = np.random.default_rng(4), []
    for _ in range(similarity.SPLITS):
        halves: list[list[np.ndarray]] = [[], []]
        for one in (0, 1, 2, 5):
            first, second = rng.permutation(np.flatnonzero(condition == one))
            halves[0].append(X[first])
            halves[1].append(X[second])
        lower = [similarity.below_diagonal(np.corrcoef(np.array(half))) for half in halves]
        agreement.append(np.corrcoef(*lower)[0, 1])
    np.testing.assert_allclose(found, np.mean(agreement))


def test_there_is_no_ceiling_where_conditions_have_single_blocks():
    rng = np.random.default_rng(0)
    assert np.isnan(similarity.split_half_ceiling(X, np.arange(12), np.arange(12), rng))


def test_chosen_rows_keep_each_label_s_share_and_their_order():
    labels = np.repeat([0, 1, 2], [200, 100, 20])
    chosen = choose_rows(labels, 32, np.random.default_rng(0))
    assert np.bincount(labels[chosen]).tolist() == [20, 10, 2]
    assert (np.diff(chosen) > 0).all()
    assert choose_rows(labels, 320, np.random.default_rng(0)).tolist() == list(range(320))
    assert (choose_rows(labels, 32, np.random.default_rng(0)) == chosen).all()
    assert (choose_rows(labels, 32, np.random.default_rng(1)) != chosen).any()


# ---- of recorded passes ----


def test_correlations_within_and_between_images_equal_those_of_the_whole_rsm(folder):
    recorded = load_pass(folder, PASSES[0])
    constant = recorded.vectors["contextual_error"].copy()
    constant[5] = 0.5
    vectors = {name: recorded.vectors[name] for name in recorded.vectors}
    vectors["contextual_error"] = constant
    rows = representations.correlate_images(recorded._replace(vectors=vectors))
    matrix = np.corrcoef(np.delete(constant, 5, axis=0).astype(np.float64))
    images = np.delete(recorded.blocks["image"].to_numpy(), 5)
    found = [row for row in rows if (row.module, row.kind) == ("contextual", "error")]
    assert len(found) == 6 + 15
    lost = recorded.blocks["image"][5]
    for row in found:
        block = matrix[np.ix_(images == row.first_image, images == row.second_image)]
        if row.first_image == row.second_image:
            block = similarity.below_diagonal(block)
        assert row.pairs == block.size
        np.testing.assert_allclose(row.mean, block.mean(), atol=1e-12)
        assert row.left_out == (lost in (row.first_image, row.second_image))


def test_many_classes_are_compared_with_all_others_together(folder, monkeypatch):
    monkeypatch.setattr(representations, "MOST_IMAGES", 5)
    recorded = load_pass(folder, PASSES[0])
    rows = representations.correlate_images(recorded)
    matrix = np.corrcoef(recorded.vectors["encoder_activation"].astype(np.float64))
    images = recorded.blocks["image"].to_numpy()
    found = [row for row in rows if (row.module, row.kind) == ("encoder", "activation")]
    assert len(found) == 12
    for row in found[6:]:
        assert row.second_image == "any"
        assert row.left_out == 0
        block = matrix[np.ix_(images == row.first_image, images != row.first_image)]
        assert row.pairs == block.size
        np.testing.assert_allclose(row.mean, block.mean(), atol=1e-12)


def test_blocks_of_other_classes_that_are_left_out_are_counted(folder, monkeypatch):
    monkeypatch.setattr(representations, "MOST_IMAGES", 5)
    recorded = load_pass(folder, PASSES[0])
    vectors = {name: recorded.vectors[name].copy() for name in recorded.vectors}
    vectors["encoder_activation"][5] = 0.5
    rows = representations.correlate_images(recorded._replace(vectors=vectors))
    assert [row.left_out for row in rows[6:12]] == [1] * 6


def test_pre_and_post_have_the_same_chosen_and_shown_blocks(folder, monkeypatch):
    monkeypatch.setattr(representations, "MOST_BLOCKS", 50)
    monkeypatch.setattr(representations, "MOST_SHOWN", 50)
    pre, post = (load_pass(folder, of) for of in PASSES[1:])
    chosen = [representations.clips_of(one).chosen for one in (pre, post)]
    np.testing.assert_array_equal(*chosen)
    shown = [representations.shown_matrices(one)[f"{one.of.name}_rows"] for one in (pre, post)]
    np.testing.assert_array_equal(*shown)


def test_the_ceiling_of_a_representation_divides_clips(tmp_path):
    made = Made(passes=PASSES[:1], modules=("encoder",), videos=True, unexpected=False, clips=30)
    recorded = load_pass(write_analysis(tmp_path, made), PASSES[0])
    clips = representations.clips_of(recorded)
    found = representations.represent(recorded, clips)[0].ceiling
    responses, items = recorded.vectors["encoder_activation"], recorded.blocks["item"].to_numpy()
    rng = stream(made.seed, "halves", PASSES[0].epoch)
    assert found == similarity.split_half_ceiling(responses, clips.condition, items, rng)


def test_shown_matrices_are_sorted_and_have_the_same_rows_in_all_modules(folder, monkeypatch):
    monkeypatch.setattr(representations, "MOST_SHOWN", 50)
    recorded = load_pass(folder, PASSES[0])
    arrays = representations.shown_matrices(recorded)
    rows = arrays["epoch8_post_rows"]
    assert len(set(rows)) == 50
    table = recorded.blocks.iloc[rows]
    order = loading.list_images(recorded)
    keys = [
        (order.index(image), angle)
        for image, angle in zip(table["image"], table["orientation"].fillna(0), strict=True)
    ]
    assert keys == sorted(keys)
    for name in ("encoder_activation", "contextual_error"):
        expected = np.corrcoef(recorded.vectors[name][rows].astype(np.float64))
        np.testing.assert_allclose(arrays[f"epoch8_post_{name}"], expected, atol=1e-6)


def test_pre_and_post_are_compared_over_blocks_and_epochs_over_conditions_alone(folder):
    rows = [row for row in representations.compare_all(represented(folder)) if row.kind == "error"]
    pairs = {(row.first, row.second, row.level) for row in rows}
    passes = [of.name for of in PASSES]
    modules = [(f"{of}:encoder", f"{of}:contextual") for of in passes]
    learned = [(f"epoch9_pre:{m}", f"epoch9_post:{m}") for m in SMALL.modules]
    epochs = [(f"epoch8_post:{m}", f"epoch9_post:{m}") for m in SMALL.modules]
    both = {(*pair, level) for pair in [*modules, *learned] for level in ("blocks", "conditions")}
    assert pairs == both | {(*pair, "conditions") for pair in epochs}
    assert all(np.isnan(row.ceiling) == (row.level == "blocks") for row in rows)


def test_epochs_on_the_same_clips_are_compared_over_blocks_too(tmp_path):
    made = Made(passes=PASSES[::2], modules=("encoder",), clips=20, clips_of=9)
    recorded = [load_pass(write_analysis(tmp_path, made), of) for of in made.passes]
    found = [
        one for r in recorded for one in representations.represent(r, representations.clips_of(r))
    ]
    rows = representations.compare_all(found)
    assert [(row.kind, row.level) for row in rows] == [
        (kind, level) for kind in ("activation", "error") for level in ("blocks", "conditions")
    ]
    x, y = (r.vectors["encoder_activation"].astype(np.float64) for r in recorded)
    np.testing.assert_allclose(rows[0].cka, similarity.linear_cka(x, y))


def test_conditions_are_compared_where_both_passes_have_them(folder):
    first, second = (
        one
        for one in represented(folder)
        if (one.module, one.kind, one.of.when) == ("encoder", "activation", POST)
    )
    row = representations.compare_two(first, second)[0]
    means = []
    for of in PASSES[::2]:
        recorded = load_pass(folder, of)
        table = recorded.blocks.fillna({"orientation": -1})
        vectors = recorded.vectors["encoder_activation"].astype(np.float64)
        groups = table.groupby(["image", "orientation"]).indices
        means.append({key: vectors[rows].mean(0) for key, rows in groups.items()})
    common = sorted(means[0].keys() & means[1].keys())
    assert ("G", -1) in common
    x, y = (np.array([mean[key] for key in common]) for mean in means)
    assert row.rows == len(common)
    assert row.ceiling == first.ceiling != second.ceiling
    np.testing.assert_allclose(row.cka, similarity.linear_cka(x, y))
    lower = [similarity.below_diagonal(np.corrcoef(values)) for values in (x, y)]
    np.testing.assert_allclose(row.r, np.corrcoef(*lower)[0, 1])


# ---- measured responses ----


def saved(folder: Path, values: np.ndarray) -> Path:
    np.save(folder / "neural.npy", values)
    return folder / "neural.npy"


def shown(folder: Path) -> list:
    recorded = [load_pass(folder, of) for of in PASSES]
    return [(one, representations.clips_of(one)) for one in recorded]


def test_measured_responses_to_the_conditions_are_matched_by_their_number(folder, tmp_path):
    found = represented(folder)
    every = representations.all_conditions([one.clips for one in found])
    target = found[-1]  # the last pass' contextual errors
    measured = np.full((len(every), target.means.shape[1]), np.nan)
    for condition, mean in zip(target.clips.conditions, target.means, strict=True):
        measured[every.index(condition)] = mean
    path = saved(tmp_path, measured)
    brain = neural.match(neural.read_responses(path), path, shown(folder))
    rows = neural.compare_with(brain, found)
    assert [row.first for row in rows] == [one.name for one in found]
    assert {(row.second, row.level) for row in rows} == {("neural", "conditions")}
    np.testing.assert_allclose(rows[-1][5:8], 1)  # with itself
    assert rows[-1].rows == len(target.clips.conditions)
    assert all(row.r < 0.99 for row in rows[:-1])
    assert rows[0].ceiling == found[0].ceiling


def test_measured_responses_to_blocks_need_passes_on_the_same_clips(folder, tmp_path):
    number = 2 * SMALL.clips
    path = saved(tmp_path, RNG.normal(size=(number, 4)))
    with pytest.raises(UsageError, match="epochs 8, 9, which differ"):
        neural.match(neural.read_responses(path), path, shown(folder))
    vectors = load_pass(folder, PASSES[2]).vectors["encoder_activation"]
    path = saved(tmp_path, vectors)
    brain = neural.match(neural.read_responses(path), path, shown(folder)[1:])
    found = [one for one in represented(folder) if one.of.epoch == 9]
    rows = neural.compare_with(brain, found)
    assert {row.level for row in rows} == {"blocks"}
    same = next(r for r in rows if (r.first, r.kind) == ("epoch9_post:encoder", "activation"))
    np.testing.assert_allclose(same[4:8], (number, 1, 1, 1))


def test_of_many_measured_blocks_those_are_compared_that_were_chosen(tmp_path, monkeypatch):
    monkeypatch.setattr(representations, "MOST_BLOCKS", 50)
    made = Made(passes=PASSES[-1:], modules=("encoder",), clips=60)
    recorded = load_pass(write_analysis(tmp_path, made), PASSES[-1])
    clips = representations.clips_of(recorded)
    path = saved(tmp_path, recorded.vectors["encoder_activation"])
    brain = neural.match(neural.read_responses(path), path, [(recorded, clips)])
    row = neural.compare_with(brain, representations.represent(recorded, clips))[0]
    np.testing.assert_allclose(row[4:8], (50, 1, 1, 1))


def test_the_seed_is_that_of_the_run(folder):
    recorded = load_pass(folder, PASSES[0])
    assert loading.seed_of(recorded) == SMALL.seed
    for made in ({}, {"run": None}, {"run": {"seed": "x"}}, {"run": {"seed": -1}}):
        assert loading.seed_of(recorded._replace(made=made)) == loading.NO_SEED


def test_another_number_of_rows_is_refused_with_the_numbers_that_fit(folder, tmp_path):
    path = saved(tmp_path, RNG.normal(size=(7, 4)))
    number = len(represented(folder)[0].clips.conditions)
    with pytest.raises(UsageError, match=rf"7 rows; .* epoch8_post {number} or 120; epoch9_pre"):
        neural.match(neural.read_responses(path), path, shown(folder))


def test_neurons_and_rows_without_values_are_left_out_and_told(tmp_path, caplog):
    values = RNG.normal(size=(8, 5))
    values[2], values[4, 3] = np.nan, np.inf
    found = neural.read_responses(saved(tmp_path, values))
    assert found.shape == (8, 4)
    assert np.isnan(found[2]).all()
    np.testing.assert_array_equal(found[3], np.delete(values[3], 3))
    told = " ".join(record.getMessage() for record in caplog.records)
    assert "1 neurons with missing values" in told
    assert "1 rows without values" in told


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (np.zeros(5), "holds float64 of shape"),
        (np.zeros((5, 3), complex), "holds complex128"),
        (np.array([["a", "b"]] * 5), "holds <U1"),
        (np.array([[None, {}]] * 5), "can't be read as .npy"),
        (np.full((5, 3), np.nan), "0 rows with values"),
        (np.zeros((5, 2)), "2 neurons"),
        (np.zeros((0, 3)), "0 rows with values"),
    ],
)
def test_an_array_that_can_not_be_compared_is_refused_in_one_line(tmp_path, values, told):
    path = tmp_path / "neural.npy"
    np.save(path, values, allow_pickle=True)
    with pytest.raises(UsageError) as refused:
        neural.read_responses(path)
    assert told in str(refused.value)


def test_a_file_that_is_no_array_is_refused_in_one_line(tmp_path):
    path = tmp_path / "neural.npy"
    with pytest.raises(UsageError, match="no such file"):
        neural.read_responses(path)
    path.write_bytes(b"no array")
    with pytest.raises(UsageError, match="can't be read"):
        neural.read_responses(path)
    np.save(path, X)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(UsageError, match="can't be read"):
        neural.read_responses(path)
    with pytest.raises(UsageError, match="is a folder"):
        neural.read_responses(tmp_path)
