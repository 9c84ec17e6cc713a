"""What single rules about knockouts and the lens do."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

import retinoscope as rs
from retinoscope.studies import (
    windows_for,
)
from retinoscope.studies._sets import ImageTokens, object_sets
from retinoscope.studies.knockout.edges import sources_for, without_target

from ._effects import Bench, noise
from ._models import random_llavas


def last_row(bench: Bench) -> str:
    changes = []
    for _, run, _ in bench.random_runs():
        image = ImageTokens(run)
        mask = np.zeros((56, 56), bool)
        mask[42:54, 24:34] = True
        sources = sources_for(image, [mask], ("object+1",), 0.0, np.random.default_rng(0))
        cut = partial(without_target, "object+1", "last-row", sources, image)
        keys = [cut("paper"), cut("corrected")]
        target = image.tokens(image.last_row)
        after = run.counterfactuals(
            [rs.Knockout(one, target) for one in keys if one is not None]
        ).logits
        changes.append((after - run.logits).abs().max(-1).values.tolist())
    paper, corrected = np.mean(changes, axis=0)
    return (
        f"random LLaVAs, an object at the lower edge, all layers: the largest change of a logit is "
        f"{paper:.3f} against {corrected:.3f}"
    )


def probability_drop(bench: Bench) -> str:
    windows = windows_for(bench.pocket.n_layers, ("early", "mid", "late", "all"))
    drops = []
    changed = 0
    for sample, ask, run in bench.asked(("kind", "relation")):
        masks = [sample.objects[index].mask for index in ask.objects]
        image = ImageTokens(run)
        keys = image.tokens(object_sets(image, masks)["object+1"])
        effects = run.counterfactuals([rs.Knockout(keys, "last", w.layers) for w in windows])
        pieces = list(bench.scorer.answers.first_pieces(ask.answer, run.ending))
        before = run.logits.softmax(-1)
        for after in effects.logits.softmax(-1):
            changed += int(before.argmax() != after.argmax())
            expected = float(before[pieces].sum() - after[pieces].sum())
            drops.append((float(before.max() - after.max()), expected))
    predicted, expected = np.mean(drops, axis=0)
    return (
        f"pocket, {len(drops)} knockouts, {changed} of which change the prediction: mean drop "
        f"{predicted:.3f} against {expected:.3f}"
    )


def false_in_mask(bench: Bench) -> str:
    vlm = next(random_llavas(1, attention="eager"))
    run = vlm.run(vlm.prompt(noise(0), "Is there a cat in this image?"))
    source, last = run.image.at(range(20)), run.n - 1
    where = list(source.positions)

    def write(module: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        mask = kwargs["attention_mask"].clone()
        mask[:, :, last, where] = False
        return args, {**kwargs, "attention_mask": mask}

    blocks = vlm.model.model.language_model.layers
    hooks = [one.self_attn.register_forward_pre_hook(write, with_kwargs=True) for one in blocks]
    inputs = run.embeddings[None]
    with torch.no_grad():
        written = vlm.model(inputs_embeds=inputs).logits[0, -1]
        for hook in hooks:
            hook.remove()
        clean = vlm.model(inputs_embeds=inputs).logits[0, -1]
    ours = run.counterfactuals([rs.Knockout(source, "last")]).logits[0]
    return (
        f"a random LLaVA under eager attention: the largest change of a logit is "
        f"{_largest(written - clean):.3f} against {_largest(ours - clean):.3f}"
    )


def _largest(change: Tensor) -> float:
    return float(change.abs().max())


def normed_twice(bench: Bench) -> str:
    vlm = bench.pocket
    different = total = 0
    for _, _, run in bench.polled():
        norm, last = vlm.adapter.decoder.final_norm, run.hidden(vlm.n_layers)
        once = norm(last[list(run.image.positions)])
        words = [vlm.adapter.unembed(states).argmax(-1) for states in (once, norm(once))]
        different, total = different + int((words[0] != words[1]).sum()), total + len(once)
    return f"pocket: the last layer's word changes at {different} of {total} visual tokens"
