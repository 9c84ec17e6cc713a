"""Metrics of maps against reference implementations, published definitions and bad input."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from retinoscope.errors import InputError
from retinoscope.stats import maps

S = np.array([[0, 1, 2, 3], [1, 5, 2, 0], [0, 2, 8, 1], [1, 0, 1, 3]], float)
H = np.array([[0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 4, 0], [0, 0, 0, 1]], float)
ROWS_COLUMNS = ((1, 1), (2, 2), (2, 2), (3, 3))
FIXATIONS = np.array([(column + 0.5, row + 0.5) for row, column in ROWS_COLUMNS])
EPS = 2.2e-16
SHAPES = [(7, 11), (24, 16), (40, 40)]
CASES = [(seed, shape) for seed in range(3) for shape in SHAPES]


def _random(seed: int, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A map with ties, a density with zeros, and fixations some of which repeat."""
    rng = np.random.default_rng(seed)
    ours = np.round(rng.gamma(1.5, size=shape), 1)
    theirs = np.maximum(rng.normal(size=shape), 0)
    points = rng.uniform(0, 1, (25, 2)) * (shape[1], shape[0])
    return ours, theirs, np.concatenate([points, points[:6]])


def _at(values: np.ndarray, points: np.ndarray) -> np.ndarray:
    return values[points[:, 1].astype(int), points[:, 0].astype(int)]


@pytest.mark.parametrize(("seed", "shape"), CASES)
def test_correlation_is_pearsons(seed: int, shape: tuple[int, int]) -> None:
    from torchmetrics.functional import pearson_corrcoef

    ours, theirs, _ = _random(seed, shape)
    found = maps.ncc(ours, theirs).value
    assert found == pytest.approx(stats.pearsonr(ours.ravel(), theirs.ravel()).statistic, abs=1e-6)
    flat = [torch.from_numpy(one.ravel()) for one in (ours, theirs)]
    assert found == pytest.approx(float(pearson_corrcoef(*flat)), abs=1e-6)
    assert found == pytest.approx(maps.ncc(theirs, ours).value, abs=1e-12)
    assert maps.ncc(3 * ours - 4, theirs).value == pytest.approx(found, abs=1e-12)


@pytest.mark.parametrize(("seed", "shape"), CASES)
def test_areas_are_those_of_scikit_learn(seed: int, shape: tuple[int, int]) -> None:
    metrics = pytest.importorskip("sklearn.metrics", reason="needs the extra 'probe'")
    ours, theirs, points = _random(seed, shape)

    def reference(positive: np.ndarray, negative: np.ndarray) -> float:
        labels = np.repeat([1, 0], [len(positive), len(negative)])
        return float(metrics.roc_auc_score(labels, np.concatenate([positive, negative])))

    fixated = np.zeros(shape, bool)
    fixated[points[:, 1].astype(int), points[:, 0].astype(int)] = True
    judd = maps.auc_judd(ours, points)
    assert judd.value == pytest.approx(reference(ours[fixated], ours[~fixated]), abs=1e-6)
    assert judd.n == fixated.sum()
    assert maps.auc_judd(ours, fixated).value == judd.value
    borji = maps.auc_borji(ours, points)
    assert borji.value == pytest.approx(reference(_at(ours, points), ours.ravel()), abs=1e-6)
    others = np.random.default_rng(seed + 9).uniform(0, 1, (70, 2)) * (shape[1], shape[0])
    shuffled = maps.auc_shuffled(ours, points, others)
    assert shuffled.value == pytest.approx(
        reference(_at(ours, points), _at(ours, others)), abs=1e-6
    )
    region = theirs > 0.3
    assert maps.auc_region(ours, region).value == pytest.approx(
        reference(ours[region], ours[~region]), abs=1e-6
    )
    # An order is all that counts.
    assert maps.auc_judd(np.exp(ours) - 5, points).value == pytest.approx(judd.value, abs=1e-12)


def test_drawn_negatives_tend_to_the_exact_area() -> None:
    ours, _, points = _random(0, (24, 16))
    rng = np.random.default_rng(0)
    drawn = [
        maps.mann_whitney(_at(ours, points), rng.choice(ours.ravel(), len(points)))
        for _ in range(3000)
    ]
    assert maps.auc_borji(ours, points).value == pytest.approx(np.mean(drawn), abs=0.01)


@pytest.mark.parametrize(("seed", "shape"), CASES)
def test_the_others_are_their_published_formulas(seed: int, shape: tuple[int, int]) -> None:
    from torchmetrics.functional import kl_divergence

    ours, theirs, points = _random(seed, shape)
    p, q = ours / ours.sum(), theirs / theirs.sum()
    assert maps.similarity(ours, theirs).value == pytest.approx(
        1 - np.abs(p - q).sum() / 2, abs=1e-6
    )
    assert maps.kl(ours, theirs).value == pytest.approx(
        float((q * np.log(EPS + q / (p + EPS))).sum()), abs=1e-6
    )
    scores = stats.zscore(ours, axis=None)
    assert maps.nss(ours, points).value == pytest.approx(_at(scores, points).mean(), abs=1e-6)
    unique = np.unique(points.astype(int), axis=0)
    assert maps.nss(ours, points, repeats=False).value == pytest.approx(
        _at(scores, unique).mean(), abs=1e-6
    )
    full = p + 1e-3
    full /= full.sum()
    smooth = q + 1e-3
    smooth /= smooth.sum()
    gain = np.log2(_at(full, points) / _at(smooth, points)).mean()
    assert maps.information_gain(full, points, smooth).value == pytest.approx(gain, abs=1e-6)
    reference = kl_divergence(
        torch.from_numpy(smooth.reshape(1, -1)), torch.from_numpy(full.reshape(1, -1))
    )
    assert maps.kl(full, smooth).value == pytest.approx(float(reference), abs=1e-6)
    assert maps.kl(full, smooth).value == pytest.approx(
        stats.entropy(smooth.ravel(), full.ravel()), abs=1e-6
    )


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("shape", [(6, 6), (9, 5)])
def test_the_earth_movers_distance_is_scipys(seed: int, shape: tuple[int, int]) -> None:
    pytest.importorskip("ot", reason="needs the extra 'attribution'")
    ours, theirs, _ = _random(seed, shape)
    y, x = np.indices(shape)
    places = np.stack([y, x], -1).reshape(-1, 2) / math.hypot(*shape)
    reference = stats.wasserstein_distance_nd(places, places, ours.ravel(), theirs.ravel())
    found = maps.emd(ours, theirs, grid=max(shape))
    assert found.value == pytest.approx(reference, abs=1e-6)
    assert found.settings["grid"] == f"{shape[1]}x{shape[0]}"
    coarse = maps.emd(
        np.kron(ours, np.ones((3, 3))), np.kron(theirs, np.ones((3, 3))), grid=max(shape)
    )
    assert coarse.value == pytest.approx(reference, abs=1e-6)
    assert maps.emd(ours, ours).value == pytest.approx(0, abs=1e-9)


def test_mass_that_moves_across_the_image_travels_its_width() -> None:
    pytest.importorskip("ot", reason="needs the extra 'attribution'")
    left, right = np.zeros((2, 40, 40))
    left[:, 0], right[:, -1] = 1, 1
    found = maps.emd(left, right, grid=10)
    assert found.value == pytest.approx(36 / math.hypot(40, 40))


def test_the_mit_codes_variants_by_hand() -> None:
    ours, theirs = np.array([[1.0, 2], [3, 4]]), np.array([[1.0, 1], [1, 3]])
    # As densities: .1 .2 .3 .4 and 1/6 1/6 1/6 1/2.
    assert maps.similarity(ours, theirs).value == pytest.approx(0.1 + 1 / 6 + 1 / 6 + 0.4)
    # The minimum off first: 0 1/6 2/6 3/6 and 0 0 0 1.
    assert maps.similarity_mit(ours, theirs).value == pytest.approx(0.5)
    assert maps.similarity_mit(ours - 7, 3 * theirs).value == pytest.approx(0.5)
    corner, twice = np.array([[1.5, 1.5]]), np.array([[1.5, 1.5], [1.2, 1.9]])
    assert maps.information_gain(ours, corner, theirs).value == pytest.approx(math.log2(0.4 / 0.5))
    assert maps.information_gain_mit(ours, twice, theirs).value == pytest.approx(math.log2(0.5))
    assert maps.information_gain_mit(ours, twice, theirs).n == 1
    assert maps.information_gain_mit(theirs, corner, theirs).value == 0
    flat = np.ones((2, 2))
    assert maps.similarity_mit(flat, ours).reason == "the map is constant"
    assert maps.similarity_mit(ours, flat).reason == "the reference map is constant"
    assert maps.information_gain_mit(ours, corner, flat).reason == "the baseline is constant"
    reference = maps.Reference(density=theirs, fixations=corner, baseline=theirs)
    found = maps.compare(ours, reference, ("sim", "sim_mit", "information_gain_mit"))
    assert found["sim_mit"].value == pytest.approx(0.5)
    assert found["information_gain_mit"].value == pytest.approx(-1)


def test_the_worked_example() -> None:
    """A small case, by hand: ranks, standard scores and shares counted out."""
    assert maps.similarity(S, H).value == pytest.approx(0.625)
    assert maps.kl(S, H).value == pytest.approx(
        sum(
            h / 8 * math.log((h / 8) / (s / 30))
            for s, h in ((5, 1), (2, 1), (2, 1), (8, 4), (3, 1))
        )
    )
    mean, spread = 30 / 16, math.sqrt(124 / 16 - (30 / 16) ** 2)
    assert maps.nss(S, FIXATIONS, repeats=False).value == pytest.approx(
        ((5 + 8 + 3) / 3 - mean) / spread
    )
    assert maps.nss(S, FIXATIONS).value == pytest.approx(((5 + 8 + 8 + 3) / 4 - mean) / spread)
    # 5 and 8 are above the 13 others; 3 is above 12 of them and ties with one.
    assert maps.auc_judd(S, FIXATIONS).value == pytest.approx((13 + 13 + 12.5) / 39)


@pytest.mark.parametrize(("seed", "shape"), CASES)
def test_a_map_agrees_with_itself(seed: int, shape: tuple[int, int]) -> None:
    _, theirs, points = _random(seed, shape)
    assert maps.ncc(theirs, theirs).value == pytest.approx(1)
    assert maps.similarity(theirs, theirs).value == pytest.approx(1)
    assert abs(maps.kl(theirs, theirs).value) < 1e-12
    assert maps.information_gain(theirs, points, theirs).value == 0
    assert maps.equal_area_iou(theirs, theirs).value == 1


def test_a_constant_map_is_at_chance_or_undefined() -> None:
    flat = np.full((6, 8), 0.1)
    points = np.array([[1.0, 2.0], [5.0, 5.0]])
    theirs = np.random.default_rng(0).random((6, 8))
    for area in (
        maps.auc_judd(flat, points),
        maps.auc_borji(flat, points),
        maps.auc_shuffled(flat, points, points + 0.5),
        maps.auc_region(flat, theirs > 0.5),
    ):
        assert area.value == 0.5
    for score in (maps.ncc(flat, theirs), maps.ncc(theirs, flat), maps.nss(flat, points)):
        assert math.isnan(score.value)
        assert "constant" in str(score.reason)
    assert maps.similarity(flat, theirs).defined
    assert maps.kl(flat, theirs).defined


def test_a_constant_with_rounding_is_constant() -> None:
    almost = np.full((5, 5), 0.1) + np.random.default_rng(0).normal(size=(5, 5)) * 1e-16
    assert not maps.ncc(almost, S[:1].repeat(5, 0)[:, [0, 1, 2, 3, 3]]).defined
    points = np.array([[1.0, 2.0], [4.0, 4.0]])
    for area in (
        maps.auc_judd(almost, points),
        maps.auc_borji(almost, points),
        maps.auc_shuffled(almost, points, points - 1),
        maps.auc_region(almost, np.eye(5, dtype=bool)),
    ):
        assert area.value == 0.5


def test_what_is_undefined_says_why() -> None:
    zero, one = np.zeros((3, 4)), np.ones((3, 4))
    none = np.zeros((0, 2))
    everywhere = np.ones((3, 4), bool)
    for score, reason in (
        (maps.similarity(zero, one), "the map adds up to 0"),
        (maps.kl(one, zero), "the reference map adds up to 0"),
        (maps.nss(S, none), "no fixation"),
        (maps.auc_judd(S, none), "no fixation"),
        (maps.auc_shuffled(S, FIXATIONS, none), "no fixation of another image"),
        (maps.auc_judd(one, everywhere), "every pixel"),
        (maps.information_gain(one, none, one), "no fixation"),
        (maps.equal_area_iou(one, zero), "all zero"),
    ):
        assert math.isnan(score.value)
        assert reason in str(score.reason)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_maps_that_are_not_finite_are_refused(bad: float) -> None:
    broken = S.copy()
    broken[1, 2] = bad
    for metric in (maps.ncc, maps.similarity, maps.kl):
        with pytest.raises(InputError, match="the map without NaN and infinity, got 1 such of 16"):
            metric(broken, H)
        with pytest.raises(InputError, match="the reference map without NaN"):
            metric(H, broken)
    for metric in (maps.nss, maps.auc_judd, maps.auc_borji):
        with pytest.raises(InputError, match="without NaN"):
            metric(broken, FIXATIONS)


def test_negative_values_need_a_meaning() -> None:
    signed = S - 2
    for metric in (maps.similarity, maps.kl):
        with pytest.raises(InputError, match="negatives='clip' or 'shift'"):
            metric(signed, H)
        clipped = metric(signed, H, negatives="clip")
        assert clipped.value == pytest.approx(metric(np.maximum(signed, 0), H).value)
        assert clipped.settings["negatives"] == "clip"
        assert metric(signed, H, negatives="shift").value == pytest.approx(metric(S, H).value)
        with pytest.raises(InputError, match="the reference map without negative"):
            metric(H, signed, negatives="clip")
    assert maps.ncc(signed, H).value == pytest.approx(maps.ncc(S, H).value)


def test_sizes_must_fit_or_be_asked_for() -> None:
    large = np.kron(S, np.ones((2, 2)))
    with pytest.raises(InputError, match=r"size 4x4 .* got 8x8"):
        maps.ncc(large, H)
    found = maps.ncc(large, H, resize="area")
    assert found.value == pytest.approx(maps.ncc(S, H).value)
    assert found.settings["resize"] == "area from 8x8"
    with pytest.raises(InputError, match=r"'bilinear'.* 'area'"):
        maps.resample(S, (3, 3), "cubic")  # type: ignore[arg-type]


def test_resizing_is_torchs_and_keeps_the_mean() -> None:
    values = np.random.default_rng(0).random((7, 12))
    for shape in ((14, 24), (5, 9), (20, 3), (7, 12)):
        expected = torch.nn.functional.interpolate(
            torch.from_numpy(values)[None, None], shape, mode="bilinear", align_corners=False
        )[0, 0]
        np.testing.assert_allclose(maps.resample(values, shape, "bilinear"), expected, atol=1e-12)
        pooled = torch.nn.functional.adaptive_avg_pool2d(
            torch.from_numpy(np.kron(values, np.ones((shape[0], shape[1]))))[None], shape
        )[0]
        np.testing.assert_allclose(maps.resample(values, shape, "area"), pooled, atol=1e-12)


def test_fixations_outside_are_refused_and_never_moved() -> None:
    for outside in ((-0.1, 1), (4, 1), (1, 4.0), (math.nan, 1)):
        points = np.array([(1.0, 1.0), outside])
        with pytest.raises(InputError, match="inside the image"):
            maps.nss(S, points)
    with pytest.raises(InputError, match="as \\(n, 2\\) numbers"):
        maps.nss(S, np.ones((3, 3)))
    with pytest.raises(InputError, match="as a map of 4x4"):
        maps.nss(S, np.ones((3, 3), bool))


def test_what_is_no_map_is_refused() -> None:
    for wrong in (np.zeros(3), np.zeros((0, 4)), [["a", "b"]], np.zeros((2, 2, 3))):
        with pytest.raises(InputError, match="as an array"):
            maps.ncc(wrong, H)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="a boolean array"):
        maps.auc_region(S, H)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="threshold"):
        maps.equal_area_iou(S, H, threshold=0)


def test_equal_areas_share_ties() -> None:
    region = np.zeros((2, 4))
    region[0, :2] = 1
    found = maps.equal_area_iou(np.ones((2, 4)), region)
    # Two of eight equal pixels: the region gets a quarter of its own two.
    assert found.value == pytest.approx(0.5 / 3.5)
    assert maps.equal_area_iou(1 - region, region).value == 0


def test_all_at_once() -> None:
    pytest.importorskip("ot", reason="needs the extra 'attribution'")
    prior = np.ones((4, 4))
    reference = maps.Reference(H, FIXATIONS, FIXATIONS[:, ::-1] * 0.9, prior)
    found = maps.compare(S, reference)
    assert list(found) == list(maps.METRICS)
    undefined = {name: score.reason for name, score in found.items() if not score.defined}
    assert undefined == {"information_gain_mit": "the baseline is constant"}
    assert found["auc_judd"].value == maps.auc_judd(S, FIXATIONS).value
    assert found["nss"].settings["repeats"] is True
    only_map = maps.compare(S, maps.Reference(H))
    assert only_map["ncc"].defined
    assert only_map["nss"].reason == "no fixations, only a map"
    with pytest.raises(InputError, match="expected metrics among"):
        maps.compare(S, reference, ("ncc", "cosine"))


def test_a_map_that_lies_about_sizes_is_refused_at_once() -> None:
    with pytest.raises(InputError, match="got 2x2"):
        maps.compare(np.ones((2, 2)), maps.Reference(H, FIXATIONS))


def test_a_centre_bias_is_worth_nothing_once_it_is_shared() -> None:
    rng = np.random.default_rng(0)
    size = 60
    y, x = np.indices((size, size))
    centre = np.exp(-((x - 29.5) ** 2 + (y - 29.5) ** 2) / (2 * 12**2))
    points = np.clip(rng.normal(30, 10, (400, 2)), 0, 59.9)
    assert maps.auc_judd(centre, points[:200]).value > 0.75
    shuffled = maps.auc_shuffled(centre, points[:200], points[200:]).value
    assert shuffled == pytest.approx(0.5, abs=0.06)
