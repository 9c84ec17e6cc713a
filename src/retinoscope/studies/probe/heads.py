"""The heads: linear ones (scikit-learn), and a small network for dense answers (torch).

They are the same for every encoder and layer: features projected to one width and scaled by the
training split, and one search over regularisation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from ...errors import InputError, MissingExtraError

STRENGTHS = (0.001, 0.01, 0.1, 1.0, 10.0)
"""Inverse L2 penalties to search, as in scikit-learn (C)."""
DECAYS = (0.1, 0.001)
"""Weight decays to search for the small head."""
HIDDEN = 64
ITERATIONS = 100
_STEPS, _BATCH, _RATE = 200, 1024, 5e-3

Matrix = Float[np.ndarray, "n d"]


@dataclass(frozen=True, eq=False)
class Scaling:
    """Z-scores relative to the training split; a dimension that is constant there becomes 0."""

    mean: Float[np.ndarray, " d"]
    factor: Float[np.ndarray, " d"]

    @classmethod
    def of(cls, x: Matrix) -> Scaling:
        """Fits the scaling to training features.

        Raises:
            InputError: there are no features, or some are NaN or infinite.
        """
        if not len(x):
            raise InputError("expected training features, got none")
        if not np.isfinite(x).all():
            raise InputError("expected finite features, got a NaN or an infinity from the encoder")
        mean, spread = x.mean(0, dtype=np.float64), x.std(0, dtype=np.float64)
        # A large constant varies by about a millionth through rounding.
        varied = spread > 1e-6 * np.maximum(1.0, np.abs(mean))
        factor = np.where(varied, 1.0 / np.where(varied, spread, 1.0), 0.0)
        return cls(mean.astype(np.float32), factor.astype(np.float32))

    def __call__(self, x: Matrix) -> Matrix:
        return (x - self.mean) * self.factor


def projection(d: int, width: int, seed: int) -> Float[np.ndarray, "d width"] | None:
    """A fixed random matrix from d to `width` dimensions; None where d is not larger.

    Args:
        seed: the matrix depends only on it, `d` and `width`.
    """
    if d <= width:
        return None
    rng = np.random.default_rng([seed, 13, d, width])
    return (rng.standard_normal((d, width)) / np.sqrt(width)).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Linear:
    """A fitted linear head.

    Attributes:
        weight, bias: (d, classes) and (classes,), for scaled features.
        strength: the selected C.
        val: the score that it reached on the validation split.
    """

    scaling: Scaling
    weight: Float[np.ndarray, "d label"]
    bias: Float[np.ndarray, " label"]
    strength: float
    val: float
    converged: bool

    @property
    def n_parameters(self) -> int:
        return self.weight.size + self.bias.size

    def scores(self, x: Matrix) -> Float[np.ndarray, "n label"]:
        return self.scaling(x) @ self.weight + self.bias


Score = Callable[[Float[np.ndarray, "n label"]], float]
"""Maps scores of the validation cases to the selection measure, higher being better."""


def fit_linear(
    x: Matrix,
    label: Int[np.ndarray, " n"] | Bool[np.ndarray, "n label"],
    n_classes: int,
    x_val: Matrix,
    score: Score,
    weights: Float[np.ndarray, " n"] | None = None,
    strengths: Sequence[float] = STRENGTHS,
) -> Linear:
    """Logistic regression; its penalty is selected on the validation split (ties: the strongest).

    Args:
        label: one class per case (multinomial), or (n, classes) booleans (one regression per
            class).
        weights: of the training cases.

    Raises:
        MissingExtraError: scikit-learn is not installed.
        InputError: features that are not finite, or a single class.
    """
    try:
        from sklearn.linear_model import LogisticRegression
    except ImportError:
        raise MissingExtraError("scikit-learn", "probe") from None
    scaling = Scaling.of(x)
    inputs = scaling(x).astype(np.float32)
    columns = [np.asarray(label)] if np.ndim(label) == 1 else list(np.asarray(label).T.astype(int))
    if any(len(np.unique(column)) < 2 for column in columns):
        raise InputError("expected at least two classes in the training split, got one")
    models = [LogisticRegression(max_iter=ITERATIONS, tol=1e-3, warm_start=True) for _ in columns]
    best: Linear | None = None
    for strength in sorted(strengths):
        for model, column in zip(models, columns, strict=True):
            model.set_params(C=strength)
            model.fit(inputs, column, sample_weight=weights)
        weight, bias = _stacked(models, np.ndim(label) == 1, n_classes)
        steps = max(int(model.n_iter_.max()) for model in models)
        fitted = Linear(scaling, weight, bias, strength, 0.0, steps < ITERATIONS)
        value = score(fitted.scores(x_val))
        if best is None or value > best.val:
            best = replace(fitted, val=value)
    assert best is not None
    return best


def _stacked(models: Sequence, one_of: bool, n_classes: int) -> tuple[np.ndarray, np.ndarray]:
    if not one_of:
        weight = np.concatenate([model.coef_ for model in models]).T
        return weight, np.concatenate([model.intercept_ for model in models])
    (model,) = models
    coef, intercept = model.coef_, model.intercept_
    if len(model.classes_) == 2:
        coef, intercept = (
            np.concatenate([-coef, coef]) / 2,
            np.concatenate([-intercept, intercept]) / 2,
        )
    weight = np.zeros((coef.shape[1], n_classes), np.float32)
    # A class without training cases is never predicted.
    bias = np.full(n_classes, -np.inf, np.float32)
    weight[:, model.classes_], bias[model.classes_] = coef.T, intercept
    return weight, bias


@dataclass(frozen=True, eq=False)
class Small:
    """A fitted head with one hidden layer: a foreground logit and an offset."""

    scaling: Scaling
    module: object
    decay: float

    @property
    def n_parameters(self) -> int:
        return sum(p.numel() for p in self.module.parameters())  # type: ignore[attr-defined]

    def __call__(self, x: Matrix) -> Float[np.ndarray, "n 3"]:
        """Foreground logit, and the offset from the location to its object's centre."""
        import torch

        with torch.no_grad():
            outputs = self.module(torch.from_numpy(self.scaling(x).astype(np.float32)))  # type: ignore[operator]
        return outputs.numpy()


def fit_small(
    x: Matrix,
    inside: Bool[np.ndarray, " n"],
    offset: Float[np.ndarray, "n 2"],
    weights: Float[np.ndarray, " n"],
    decay: float,
    seed: int,
) -> Small:
    """Cross-entropy for object or background, absolute error for the offsets inside objects.

    Args:
        offset: from each location to the centre of its object, in units of the longer image side.
        weights: of the cases.
    """
    import torch
    from torch import nn

    scaling = Scaling.of(x)
    rng = np.random.default_rng([seed, 17])
    layers = (nn.Linear(x.shape[1], HIDDEN), nn.Linear(HIDDEN, 3))
    with torch.no_grad():
        # Torch's random state is shared between threads.
        for layer in layers:
            bound = 1 / np.sqrt(layer.in_features)
            for parameter in (layer.weight, layer.bias):
                drawn = rng.uniform(-bound, bound, tuple(parameter.shape))
                parameter.copy_(torch.from_numpy(drawn))
    module = nn.Sequential(layers[0], nn.GELU(), layers[1])
    inputs = torch.from_numpy(scaling(x).astype(np.float32))
    target = torch.from_numpy(inside.astype(np.float32))
    target_offset = torch.from_numpy(offset.astype(np.float32))
    weight = torch.from_numpy((weights / weights.mean()).astype(np.float32))
    optimizer = torch.optim.AdamW(module.parameters(), lr=_RATE, weight_decay=decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, _STEPS)
    for _ in range(_STEPS):
        drawn = torch.from_numpy(rng.integers(0, len(x), min(_BATCH, len(x))))
        outputs = module(inputs[drawn])
        classification = nn.functional.binary_cross_entropy_with_logits(
            outputs[:, 0], target[drawn], weight[drawn]
        )
        distance = (outputs[:, 1:] - target_offset[drawn]).abs().sum(1) * target[drawn]
        loss = classification + 4.0 * distance.sum() / target[drawn].sum().clamp(min=1.0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return Small(scaling, module.eval(), decay)
