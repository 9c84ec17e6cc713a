"""What smol's frozen language model gives: the same questions about a scene in words, no image.

The caption stands where the visual tokens would. The language model chooses among all answers of a
question's kind, token by token: it need not guess the form of the answer.
Prints a table in Markdown.

    python benchmarks/smol_words.py --scenes 60
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path

import torch
from transformers import PreTrainedModel

from retinoscope.data.scenes import COLORS, KINDS, SIGN_WORDS, scene_texts
from retinoscope.pocket.smol import LANGUAGE, open_language, part_file
from retinoscope.recipes.smol._turns import BEFORE_IMAGE
from retinoscope.stats import wilson

ANSWERS = {
    "polling": ("yes", "no"),
    "color": COLORS,
    "kind": KINDS,
    "relation": KINDS,
    "count": ("one", "two", "three", "four", "five"),
    "sign": SIGN_WORDS,
}


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--language", type=Path, help="the model, if not fetched")
    parser.add_argument("--scenes", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    language, tokenizer = open_language(options.language or part_file(LANGUAGE))
    torch.nn.Module.to(language, options.device)
    end = tokenizer.eos_token_id
    assert isinstance(end, int)
    right: dict[str, list[bool]] = defaultdict(list)
    for index in range(options.scenes):
        caption, questions = scene_texts(index, options.seed)
        before = tokenizer(f"{BEFORE_IMAGE}An image shows this: {caption}")["input_ids"]
        for question in questions:
            after = f"\n{question.question}<|im_end|>\n<|im_start|>assistant\n"
            prompt = [*before, *tokenizer(after)["input_ids"]]
            answers: dict[tuple[int, ...], str] = {}
            for answer in ANSWERS[question.kind]:
                answers[*tokenizer(answer.capitalize())["input_ids"], end] = answer
            said = answers[chosen(language, prompt, list(answers))]
            right[question.kind].append(said == question.answer)
    print(f"{options.scenes} scenes of seed {options.seed}\n")
    print("| question | right | chance | n |\n|---|---|---|---|")
    for kind, found in right.items():
        share = wilson(sum(found), len(found))
        interval = f"{100 * share.low:.1f} to {100 * share.high:.1f}"
        chance = 100 / len(ANSWERS[kind])
        print(f"| {kind} | {100 * share.value:.1f}% ({interval}) | {chance:.0f}% | {len(found)} |")


def chosen(
    language: PreTrainedModel, prompt: list[int], answers: list[tuple[int, ...]]
) -> tuple[int, ...]:
    """The most probable token at each step among those that the answers left go on with."""
    said: tuple[int, ...] = ()
    while len(answers) > 1:
        ids = torch.tensor([[*prompt, *said]], device=language.device)
        logits = language(ids, logits_to_keep=1).logits[0, -1]
        following = sorted({answer[len(said)] for answer in answers})
        said = (*said, following[int(logits[following].argmax())])
        answers = [answer for answer in answers if answer[: len(said)] == said]
    return answers[0]


if __name__ == "__main__":
    main()
