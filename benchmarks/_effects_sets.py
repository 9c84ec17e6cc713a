"""What single rules about token sets and fills do."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from scipy.stats import spearmanr

import retinoscope as rs
from retinoscope.answers.pieces import Answers
from retinoscope.answers.scoring import ModelOutput
from retinoscope.answers.tasks import Ask, polling_text
from retinoscope.engine import Run
from retinoscope.engine.fill import Mean
from retinoscope.tokens import attribution, released_scores

from ._effects import STEPS, Bench, Unchanged, likeliest, noise, order, shared


def gradient_target(bench: Bench) -> str:
    pairs = []
    for vlm, run, fill in bench.random_runs():
        first = int(vlm.tokenizer("Yes")["input_ids"][0])
        yes = likeliest(run, Answers(vlm.tokenizer).first_pieces("yes", run.ending))
        both = [order(attribution(run, target, fill, STEPS)) for target in (first, yes)]
        pairs.append((both[0], both[1]))
    return (
        f"random LLaVAs whose tokenizer begins every text with <s>: shared top 5, 10, 20, 40 of 49 "
        f"tokens {shared(pairs)}"
    )


def gradient_prompt(bench: Bench) -> str:
    pairs = []
    for sample, ask, run in bench.asked(("color", "kind", "relation")):
        name = sample.objects[ask.objects[0]].name
        polled = bench.pocket.run(bench.pocket.prompt(sample.image, polling_text(name)))
        goal = likeliest(run, bench.scorer.answers.first_pieces(ask.answer, run.ending))
        yes = int(bench.pocket.tokenizer("Yes")["input_ids"][0])
        pairs.append(
            (
                order(attribution(run, goal, bench.mean, STEPS)),
                order(attribution(polled, yes, bench.mean, STEPS)),
            )
        )
    return f"pocket, {len(pairs)} questions: shared top 5, 10, 20, 40 of 144 tokens {shared(pairs)}"


def gradient_sum(bench: Bench) -> str:
    rho, pairs = [], []
    for _, run, fill in bench.random_runs():
        target = int(run.logits.argmax())
        trapezoid = attribution(run, target, fill, 49)
        ends = released_scores(run, target, Unchanged(fill), 50)[: len(trapezoid)]
        rho.append(spearmanr(ends.numpy(), trapezoid.numpy())[0])
        pairs.append((order(ends), order(trapezoid)))
    return (
        f"random LLaVAs, 50 points: Spearman {min(rho):.4f} to {max(rho):.4f}, shared top 5, 10, "
        f"20, 40 {shared(pairs)}"
    )


def gradient_baseline(bench: Bench) -> str:
    pocket = ((run, bench.mean) for _, _, run in bench.polled())
    llavas = ((run, fill) for _, run, fill in bench.random_runs())
    return f"pocket: {_past(pocket)}; random LLaVAs: {_past(llavas)}"


def _past(runs: Iterable[tuple[Run, Mean]]) -> str:
    rho, tops, ranks, n = [], [], [], 0
    for run, fill in runs:
        target, n = int(run.logits.argmax()), len(run.image)
        over = released_scores(run, target, fill, STEPS)
        within = released_scores(run, target, Unchanged(fill), STEPS)[:n]
        rho.append(spearmanr(over[:n].numpy(), within.numpy())[0])
        ranks.append(order(over).index(n) + 1)
        tops.append(len({*order(over)[:10]} & {*order(within)[:10]}))
    return (
        f"Spearman of the visual tokens {min(rho):.2f} to {max(rho):.2f}, {min(tops)} to "
        f"{max(tops)} of the top 10 stay, and the position after the image ranks {min(ranks)} to "
        f"{max(ranks)} of {n + 1} (median {np.median(ranks):.0f})"
    )


def random_draws(bench: Bench) -> str:
    draws, n = 20, 40
    lost = []
    for _, index, run in bench.polled():
        ask = Ask("polling", "polling", "", "yes", (index,))
        if not bench.scorer.score(
            ask, "corrected", ModelOutput(run.logits, after=run.ending)
        ).correct:
            continue
        sets = [rs.tokens.random(run, n=n, seed=seed) for seed in range(draws)]
        after = run.counterfactuals([rs.Ablate(one, fill=bench.mean) for one in sets]).logits
        right = [
            bench.scorer.score(ask, "corrected", ModelOutput(row, after=run.ending)).correct
            for row in after
        ]
        lost.append([not one for one in right])
    by_draw = np.mean(lost, axis=0)
    return (
        f"pocket, {len(lost)} yes/no questions, {draws} draws of {n} tokens: one draw says "
        f"{by_draw.min():.0%} to {by_draw.max():.0%} lost, all together {np.mean(lost):.0%}"
    )


def mean_token(bench: Bench) -> str:
    other = rs.fill.mean(bench.pocket, [noise(seed) for seed in range(60)], cache=False)
    different = total = 0
    for sample, index, run in bench.polled():
        tokens = run.image.covering(sample.objects[index].mask).grow(1)
        effects = run.counterfactuals(
            [rs.Ablate(tokens, fill=bench.mean), rs.Ablate(tokens, fill=other)]
        )
        ask = Ask("polling", "polling", "", "yes", (index,))
        said = [
            bench.scorer.score(ask, "corrected", ModelOutput(one)).correct for one in effects.logits
        ]
        different, total = different + (said[0] != said[1]), total + 1
    apart = float((other.vector - bench.mean.vector).norm() / bench.mean.vector.norm())
    return (
        f"pocket: the mean over 60 images of noise is {apart:.2f} of its length away; {different} "
        f"of {total} yes/no answers without object and ring differ"
    )
