"""Refiners of drawn scenes, and their errors on demand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from refined import SHAPE, reader, written

from retinoscope.data.scenes import COLORS, KINDS
from retinoscope.errors import InputError
from retinoscope.interfaces import DenseRefiner, SeenObjects, build_refiner
from retinoscope.interfaces._dense_refiner import regions

CAR, DOG = 1, 5
PIXELS = torch.zeros(1, 3, 36, 36)


def scene(n: int) -> torch.Tensor:
    """Pixels of another scene for each number."""
    return torch.full((1, 3, 36, 36), -1 + 2 * n / 255)


def test_regions_are_connected_at_their_sides() -> None:
    tags = np.array([[1, 1, 0, 3], [0, 0, 1, 3], [4, 0, 1, 0]])
    found = {tuple(np.flatnonzero(mask).tolist()) for mask in regions(tags)}
    assert found == {(0, 1), (6, 10), (3, 7), (8,)}


def test_objects_are_regions() -> None:
    refiner = reader()
    tokens = written({(CAR, 2): [0, 1, 10], (DOG, 0): [40]})
    found = refiner(PIXELS, tokens).objects
    assert found.mask.sum() == 2
    assert found.mask.shape == (1, 8)
    place = {name: i for i, name in enumerate(refiner.names)}
    row = found.tags[0].tolist().index(place[f"{COLORS[2]} {KINDS[CAR]}"])
    torch.testing.assert_close(found.boxes[0, row], torch.tensor([0, 0, 2, 2]) / 9)
    assert found.patches[0, row].nonzero()[:, 0].tolist() == [0, 1, 10]
    torch.testing.assert_close(found.features[0, row], tokens[0, [1, 2, 11]].mean(0))
    torch.testing.assert_close(found.patches.sum(-1), found.mask.float())
    token = found.tokens()
    assert token.shape == (1, 8, refiner.d_object)
    assert not token[~found.mask].any()


def test_twins_are_two_objects() -> None:
    apart = reader()(PIXELS, written({(CAR, 2): [0, 1, 40]})).objects
    assert apart.mask.sum() == 2
    assert len(set(apart.tags[apart.mask].tolist())) == 1


def test_kinds_that_touch_are_two_objects() -> None:
    touching = reader()(PIXELS, written({(CAR, 2): [0, 1], (DOG, 2): [2]})).objects
    assert touching.mask.sum() == 2


def test_the_colour_is_that_of_most_patches() -> None:
    found = reader()(PIXELS, written({(CAR, 2): [0, 1], (CAR, 3): [2]})).objects
    assert found.tags[found.mask].tolist() == [CAR * len(COLORS) + 2]


def test_of_many_regions_the_surest_are_kept() -> None:
    tokens = written({(CAR, 2): list(range(0, 80, 2))})
    tokens[0, 41, 1 + CAR] = 0.55
    found = reader(most=39)(PIXELS, tokens).objects
    assert found.mask.sum() == 39
    assert not found.patches[0, :, 40].any()
    assert (found.scores[0].diff() <= 0).all()


def test_no_object() -> None:
    found = reader()(PIXELS, written({})).objects
    assert not found.mask.any()
    assert (found.tags == -1).all()
    assert (found.phrases() == -1).all()


def test_phrases_count_in_twelfths() -> None:
    found = reader()(PIXELS, written({(CAR, 2): [0, 1, 10]})).objects
    assert found.phrases()[0, 0].tolist() == [CAR * len(COLORS) + 2, 0, 0, 2, 2]


def test_patches_carry_the_same_features() -> None:
    tokens = written({(CAR, 2): [0, 1, 10]})
    refined = reader(read="patches")(PIXELS, tokens)
    assert torch.equal(refined.read.features, tokens[:, 1:])
    assert refined.read.mask.all()
    assert refined.read.mask.shape == (1, 81)
    assert refined.read.tokens().shape[-1] == refined.objects.tokens().shape[-1]
    same = reader()(PIXELS, tokens).objects
    assert all(
        torch.equal(a, b) for a, b in zip(*map(_parts, (refined.objects, same)), strict=True)
    )


def _parts(objects: SeenObjects) -> list[torch.Tensor]:
    return list(vars(objects).values())


def with_errors(withheld: float = 0.0, false: float = 0.0) -> DenseRefiner:
    refiner = reader(withheld=withheld, false=false)
    assert refiner.errors is not None
    if false:
        others = written({(kind, 1): [9 * (kind % 8), 9 * (kind % 8) + 1] for kind in range(8)})
        refiner.errors.fill([reader()(PIXELS, others).objects])
    return refiner


OBJECTS = {(CAR, 2): [0, 1], (DOG, 0): [40], (9, 3): [60], (12, 4): [80]}


def test_errors_depend_on_the_scene_alone() -> None:
    refiner, tokens = with_errors(0.3, 0.3), written(OBJECTS)
    alone = [refiner(scene(n), tokens).objects for n in range(4)]
    again = refiner(torch.cat([scene(n) for n in (3, 2, 1, 0)]), tokens.expand(4, -1, -1)).objects
    for n, objects in enumerate(alone):
        for one, other in zip(_parts(objects), _parts(again), strict=True):
            torch.testing.assert_close(one[0], other[3 - n])
    assert len({tuple(each.tags[0].tolist()) for each in alone}) > 1


def test_shares_of_errors() -> None:
    tokens = written(OBJECTS)
    withheld = [with_errors(0.3)(scene(n), tokens).objects for n in range(100)]
    left = float(torch.stack([each.mask.sum() for each in withheld]).float().mean()) / 4
    assert 0.64 < left < 0.76
    refiner = with_errors(false=0.3)
    added = [refiner(scene(n), tokens).objects for n in range(100)]
    share = float(torch.stack([each.false.sum() for each in added]).float().mean()) / 4
    assert 0.24 < share < 0.36


def test_a_false_object_is_one_of_another_scene_in_a_free_place() -> None:
    refiner, tokens = with_errors(false=1.0), written(OBJECTS)
    assert refiner.errors is not None
    real = {tag // len(COLORS) for tag in reader()(PIXELS, tokens).objects.tags[0].tolist()}
    for n in range(10):
        found = refiner(scene(n), tokens).objects
        for place in found.false[0].nonzero()[:, 0].tolist():
            assert int(found.tags[0, place]) // len(COLORS) not in real
            donor = (refiner.errors.tags == found.tags[0, place]).nonzero()[0, 0]
            assert torch.equal(found.features[0, place], refiner.errors.features[donor])
            box = found.boxes[0, place]
            rest = found.mask[0].clone()
            rest[place] = False
            low = torch.maximum(box[:2], found.boxes[0, rest, :2])
            high = torch.minimum(box[2:], found.boxes[0, rest, 2:])
            assert not (high > low).all(-1).any()
            torch.testing.assert_close(found.patches[0, place].sum(), torch.tensor(1.0))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "sam"}, "expected a refiner of regions, detector, got 'sam'"),
        ({}, "got None"),
        ({"name": "regions", "depth": 3}, "expected settings of the refiner regions"),
        ({"name": "regions", "withheld": 1.5}, "withheld"),
        ({"name": "regions", "read": "patches", "false": 0.3}, "without errors"),
    ],
)
def test_wrong_settings(settings: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message) as refused:
        build_refiner(settings, SHAPE)
    assert "\n" not in str(refused.value)
