"""Attention that is not causal: within the images of Gemma 3, within the prompts of PaliGemma."""

from __future__ import annotations

import torch
from checks import QUESTION, close, oracle, picture, pictures, run_of
from row import loaded, over
from table import FAMILY
from variants import VARIANTS

GEMMA = FAMILY["Gemma 3"]
PAIR = pictures([(30, 70), (64, 20)])
PALIGEMMA = [FAMILY["PaliGemma"], *(row for row in VARIANTS if row.family == "PaliGemma")]


def test_images_are_read_both_ways_but_not_by_each_other():
    vlm = loaded(GEMMA)
    run = run_of(vlm, PAIR)
    first, second = (image.positions for image in run.images)
    rows = run.attention(vlm.n_layers - 1, queries=[first[0], second[0]])[0]
    assert rows[0, first[-1]] > 0
    assert rows[1, second[-1]] > 0
    assert rows[1, first[0]] > 0
    assert rows[0, second[0]] == 0


def test_all_attention_rows_are_the_library_s():
    """Windows included: they meet images differently in different versions of the library."""
    vlm = loaded(GEMMA, "eager")
    run = run_of(vlm, PAIR)
    with torch.no_grad():
        done = vlm.model(**oracle(GEMMA, vlm, PAIR), output_attentions=True)
    for layer, wanted in enumerate(done.attentions):
        found = run.attention(layer, queries=range(run.n))
        assert torch.allclose(found, wanted[0], atol=1e-5)
    # The windows are shorter than the prompt.
    assert (done.attentions[0][0, 0, -1] == 0).any()


@over(PALIGEMMA, attention=lambda _: {"sdpa": "", "eager": "eager"})
def test_a_prompt_is_read_both_ways_and_its_continuation_causally(row, attention):
    """As the library reads a suffix: ids of its own behind the prompt, token types of 1."""
    answer = "It is red"
    vlm = loaded(row, attention)
    run = vlm.run(vlm.prompt([picture()], QUESTION, prefill=answer))
    given = oracle(row, vlm, [picture()])
    suffix = vlm.tokenizer(answer, add_special_tokens=False, return_tensors="pt")["input_ids"]
    n = given["input_ids"].shape[1]
    ids = torch.cat([given["input_ids"], suffix], 1)
    assert run.inputs.input_ids.tolist() == ids[0].tolist()
    types = torch.zeros_like(ids)
    types[:, n:] = 1
    with torch.no_grad():
        wanted = vlm.model(
            input_ids=ids, pixel_values=given["pixel_values"], token_type_ids=types
        ).logits[0, -1]
    assert close(run.logits, wanted, 1e-5)
    rows = run.attention(vlm.n_layers - 1, queries=[0, n - 1, n])[0]
    assert rows[0, n - 1] > 0
    assert rows[:2, n:].max() == 0
    assert rows[2, n + 1 :].max() == 0
    plain = run_of(vlm, [picture()])
    again = plain.generate(4).run()
    assert torch.allclose(again.hidden(2)[: plain.n], plain.hidden(2), atol=1e-4)
