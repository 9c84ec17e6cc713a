"""Maps of a contrastive model (CLIP, SigLIP): which part of an image does a text describe?

    two = retinoscope.encoders.load_contrastive("openai/clip-vit-base-patch16")
    contrastive.similarity(two, image, "a photo of a cat").plot()

Maps explain the cosine of the image's vector and the text's, and only the vision tower's part in
it. `similarity` and `occlusion` accept any model of `load_contrastive`, the others CLIP and SigLIP
of transformers.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from .. import arguments
from ..data import ImageSource, open_image
from ..encoders import TwoTower
from ..errors import CapabilityError, InputError
from ._common import painted
from ._heat_map import HeatMap
from ._method import Method, by_name, middle
from ._rollout import positive_part, relevancy_of, rolled_out
from ._tower_trace import TowerTrace, tower_trace, unknown

__all__ = ["METHODS", "chefer", "grad_cam", "occlusion", "rollout", "similarity"]


def similarity(two: TwoTower, image: ImageSource, text: str) -> HeatMap:
    """The cosine of each location's vector and the text's.

    What a location's vector is depends on the family; see `two.locating`. CLIP was not trained for
    it.

    Returns:
        (n,) cosines, -1 to 1.

    Raises:
        InputError: the text is empty, or the image cannot be read.

    Source: Zhou et al. 2022 (arXiv 2112.01071); Ranasinghe et al. 2022 (arXiv 2210.09996).
    """
    opened = open_image(image)
    locations = two.locations(opened)
    vectors = locations["joint"].astype(np.float64)
    lengths = np.linalg.norm(vectors, axis=-1)
    if not lengths.all():
        raise InputError(f"{two.name}: a location's vector is 0, so it has no direction")
    values = vectors @ two.text([text])[0].astype(np.float64) / lengths
    settings = {"model": two.name}
    return HeatMap(opened, locations.boxes, values, "similarity", repr(text), settings)


def occlusion(two: TwoTower, image: ImageSource, text: str, *, window: int = 2) -> HeatMap:
    """The drop of the image-text cosine when a window is painted in the image's mean colour.

    Args:
        two: the model.
        image: the image.
        text: the text.
        window: side of the window in locations of the grid; it slides by one.

    Returns:
        (n,) the mean, over the windows that contain a location, of the cosine minus that without
        the window.

    Raises:
        InputError: the text is empty, the image cannot be read, or the window does not fit.
        CapabilityError: the locations do not form one grid.

    Source: Zeiler and Fergus 2013 (arXiv 1311.2901), section 4.2.
    """
    opened = open_image(image)
    locations = two.locations(opened)
    if locations.grid is None:
        raise CapabilityError(f"{two.name}: its locations do not form one grid: use similarity")
    rows, columns = locations.grid
    if not 1 <= window <= min(rows, columns):
        raise InputError(f"expected a window from 1 to {min(rows, columns)}, got {window}")
    text_vector = two.text([text])[0].astype(np.float64)
    whole = float(two.image(opened) @ text_vector)
    total, count = np.zeros((rows, columns)), np.zeros((rows, columns))
    boxes = locations.boxes.reshape(rows, columns, 4)
    for row in range(rows - window + 1):
        for column in range(columns - window + 1):
            here = (slice(row, row + window), slice(column, column + window))
            hidden = painted(opened, boxes[here].reshape(-1, 4))
            drop = whole - float(two.image(hidden) @ text_vector)
            total[here] += drop
            count[here] += 1
    values = (total / count).ravel()
    settings = {"model": two.name, "window": window}
    return HeatMap(opened, locations.boxes, values, "occlusion", repr(text), settings)


def rollout(two: TwoTower, image: ImageSource, text: str) -> HeatMap:
    """Attention rollout of the vision tower; it does not depend on the text.

    Read at CLIP's class token, or through SigLIP's pooling head (mean of its heads).

    Returns:
        (n,) shares from 0 to 1.

    Raises:
        InputError: the text is empty, or the image cannot be read.
        CapabilityError: the model is not CLIP or SigLIP of transformers.

    Source: Abnar and Zuidema 2020 (arXiv 2005.00928), section 3.
    """
    trace = tower_trace(two, image, text)
    n = trace.weights[0].shape[-1]
    read = torch.eye(n)[0] if trace.pool is None else trace.pool.float().mean(0).cpu()
    weights = [block.float().mean(0).cpu() for block in trace.weights]
    return _map(two, image, text, rolled_out(read[None], weights)[0], "rollout", trace)


def chefer(two: TwoTower, image: ImageSource, text: str) -> HeatMap:
    """Chefer's relevancy of the vision tower for the cosine with the text.

    R <- R + mean over heads of (gradient x weights)+ times R, block by block; read at CLIP's class
    token, or through the positive part of gradient x weights of SigLIP's pooling head.

    Returns:
        (n,) non-negative relevancies.

    Raises:
        InputError: the text is empty, or the image cannot be read.
        CapabilityError: the model is not CLIP or SigLIP of transformers.

    Source: Chefer et al. 2021b (arXiv 2103.15679), section 3, and its released CLIP example.
    """
    trace = tower_trace(two, image, text)
    relevancy = relevancy_of(trace.weights, trace.gradients, trace.weights[0].shape[-1])
    if trace.pool is None or trace.pool_gradient is None:
        row = relevancy[0]
    else:
        row = positive_part(trace.pool[:, None], trace.pool_gradient[:, None])[0] @ relevancy
    return _map(two, image, text, row, "chefer", trace)


def grad_cam(two: TwoTower, image: ImageSource, text: str, *, layer: int) -> HeatMap:
    """Grad-CAM on the patches' states at the input of one block of the vision tower.

    Args:
        two: the model.
        image: the image.
        text: the text.
        layer: block, from 0; negative numbers count from the last.

    Returns:
        (n,) non-negative; all 0 if nothing speaks for the text.

    Raises:
        InputError: the text is empty, the image cannot be read, or there is no such block.
        CapabilityError: the model is not CLIP or SigLIP of transformers.

    Source: Selvaraju et al. 2017 (arXiv 1610.02391), section 3.
    """
    trace = tower_trace(two, image, text)
    n = len(trace.states)
    layer = arguments.whole(layer, "blocks", -n, n - 1)
    boxes = len(two.locations(image))
    states = trace.states[layer][-boxes:].float()
    gradients = trace.state_gradients[layer][-boxes:].float()
    values = (states @ gradients.mean(0)).clamp(min=0).cpu()
    return _map(two, image, text, values, "grad-cam", trace, layer=layer % n)


METHODS: Mapping[str, Method[TwoTower]] = by_name(
    Method("similarity", similarity, "cosine of each location's vector and the text's"),
    Method(
        "rollout",
        rollout,
        "attention carried through the vision tower, as if it only mixed tokens",
        unit="share",
        refusal=unknown,
    ),
    Method(
        "chefer",
        chefer,
        "attention weights times their gradients, carried through the vision tower",
        refusal=unknown,
    ),
    Method(
        "grad-cam",
        grad_cam,
        "states weighted by their mean gradient, positive part, at the input of a block",
        # An encoder's last layer is the last block's output.
        depth=lambda two: len(two.encoder.layers) - 1,
        reads_at=middle,
        refusal=unknown,
    ),
    Method("occlusion", occlusion, "drop of the cosine without a window of two by two locations"),
)
"""Name -> method; only `grad_cam` takes a layer, and requires one."""


def _map(
    two: TwoTower,
    image: ImageSource,
    text: str,
    row: Float[Tensor, " token"],
    method: str,
    trace: TowerTrace,
    **settings: int,
) -> HeatMap:
    """Makes a map of the patches, which are the last tokens."""
    opened = open_image(image)
    boxes = two.locations(opened).boxes
    values = row[-len(boxes) :].double().numpy()
    facts = {"model": two.name, "cosine": trace.score, **settings}
    return HeatMap(opened, boxes, values, method, repr(text), facts)
