"""The same knockouts with nnsight and TransformerLens, in their documented ways.

Both are installed in an environment of their own: `make bench-peers`. All run the very same
decoder on the same text of as many positions as the image prompt has, since TransformerLens takes
token ids.
"""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoTokenizer, LlamaForCausalLM

import retinoscope as rs

from ._bench import (
    TOLERANCE,
    Case,
    Measure,
    Options,
    Way,
    alternate,
    equality,
    options_for,
    write_result,
)
from ._conditions import Hide, Scene, knockouts_of, paper_knockouts, single_layer_knockouts
from ._models import QUESTIONS, Setup, make_setup
from ._released import causal_mask

ENGINE = "engine, clean run included"
PER_ROUND = 2
Way_ = Callable[[Hide], Tensor]


def main(argv: Sequence[str] | None = None) -> Path:
    """Measures, prints, and returns the path of the result.

    A peer that is not installed, or fails, is named with its error in the result.
    """
    options = options_for(__doc__ or "", "peers", argv)
    setup = make_setup(options)
    scene = Scene.of(setup.vlm().prompt(setup.image, QUESTIONS[2]))
    vlm = setup.vlm()
    prompt = _text_of(vlm, scene.n)
    ids = prompt.inputs.input_ids[None].to(setup.model.device)
    decoder = decoder_of(setup)
    peers, errors = _peers(decoder, ids, vlm.tokenizer)
    depth = setup.shape.layers
    kinds = {
        "knockouts of the paper": paper_knockouts(scene, depth),
        "knockouts of a single layer": single_layer_knockouts(scene, depth),
    }
    cases = [
        _case(options, f"{len(conditions)} {name}", vlm, prompt, conditions, peers)
        for name, conditions in kinds.items()
    ]
    return write_result(
        options,
        cases=cases,
        model={**setup.facts, "positions": scene.n, "prompt": "text only"},
        peers={name: version(name) for name in peers},
        errors=errors,
    )


def _text_of(vlm: rs.VLM, n: int) -> rs.engine.Prompt:
    """A text-only prompt of `n` positions."""
    beside = len(vlm.prompt(None, "word100").inputs.input_ids) - 1
    words = torch.randint(100, vlm.vocab_size, (n - beside,), generator=torch.manual_seed(1))
    return vlm.prompt(None, " ".join(f"word{int(word)}" for word in words))


def decoder_of(setup: Setup) -> LlamaForCausalLM:
    """The LLaVA's decoder and head as a model of their own; the weights are the same tensors."""
    config: Any = setup.model.config.text_config
    with torch.device("meta"):
        decoder = LlamaForCausalLM(config)
    decoder.model = setup.model.model.language_model
    decoder.lm_head = setup.model.lm_head
    return decoder.eval()


def _peers(
    decoder: LlamaForCausalLM, ids: Tensor, tokenizer: Any
) -> tuple[dict[str, Way_], dict[str, str]]:
    makers = {"nnsight": _nnsight, "transformer-lens": _transformer_lens}
    peers: dict[str, Way_] = {}
    errors: dict[str, str] = {}
    for name, make in makers.items():
        try:
            peers[name] = make(decoder, ids, tokenizer)
        except Exception as error:
            # Whatever a peer raises belongs on the page.
            errors[name] = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
    return peers, errors


def _nnsight(decoder: LlamaForCausalLM, ids: Tensor, _: Any) -> Way_:
    """One trace for each condition, the attention's input replaced by one with a mask.

    Its pages edit attention through `.source` under eager attention; the mask keeps the faster
    attention of the other ways.
    """
    traced = import_module("nnsight").NNsight(copy.deepcopy(decoder))

    @torch.no_grad()
    def way(condition: Hide) -> Tensor:
        mask = causal_mask(ids.shape[1], condition, ids.device)
        with traced.trace(ids, use_cache=False, logits_to_keep=1):
            for layer in condition.layers:
                given, named = traced.model.layers[layer].self_attn.inputs
                traced.model.layers[layer].self_attn.inputs = (
                    given,
                    {**named, "attention_mask": mask},
                )
            logits = traced.lm_head.output.save()
        return logits[0, -1].float()

    return way


def _transformer_lens(decoder: LlamaForCausalLM, ids: Tensor, tokenizer: Any) -> Way_:
    """One `run_with_hooks` for each condition, minus infinity written into the scores."""
    bridge = bridge_of(decoder, tokenizer, ids.device)

    def hide(scores: Tensor, hook: Any, *, rows: Tensor, columns: Tensor) -> Tensor:
        scores[:, :, rows, columns] = torch.finfo(scores.dtype).min
        return scores

    @torch.no_grad()
    def way(condition: Hide) -> Tensor:
        rows, columns = torch.tensor(condition.target)[:, None], torch.tensor(condition.source)
        edit = partial(hide, rows=rows, columns=columns)
        hooks = [(f"blocks.{layer}.attn.hook_attn_scores", edit) for layer in condition.layers]
        return bridge.run_with_hooks(ids, fwd_hooks=hooks, return_type="logits")[0, -1].float()

    return way


def bridge_of(decoder: LlamaForCausalLM, tokenizer: Any, device: torch.device) -> Any:
    """TransformerLens's model of a copy of this decoder."""
    booted = import_module("transformer_lens.model_bridge").TransformerBridge.boot_transformers
    with tempfile.TemporaryDirectory() as folder:
        # It loads the tokenizer once more, from where that came from.
        tokenizer.save_pretrained(folder)
        return booted(
            folder,
            hf_model=copy.deepcopy(decoder),
            tokenizer=AutoTokenizer.from_pretrained(folder, trust_remote_code=False),
            device=str(device),
        )


def _case(
    options: Options,
    name: str,
    vlm: rs.VLM,
    prompt: rs.engine.Prompt,
    conditions: Sequence[Hide],
    peers: dict[str, Way_],
) -> Case:
    def engine(_: int = 0) -> Tensor:
        run = vlm.run(prompt)
        return run.counterfactuals(knockouts_of(run, conditions)).logits

    found = engine()
    checked = [at * len(conditions) // 4 for at in range(4)]
    same: dict[str, float] = {"rows": len(checked)}
    for peer, way in peers.items():
        wanted = torch.stack([way(conditions[unit]) for unit in checked])
        close = equality(found[checked], wanted, TOLERANCE[options.dtype])
        same[f"max_relative_difference, {peer}"] = close["max_relative_difference"]
    ways = {ENGINE: Way(engine)} | {
        peer: Way(
            lambda unit, way=way: way(conditions[unit]), units=len(conditions), per_round=PER_ROUND
        )
        for peer, way in peers.items()
    }
    timings = alternate(ways, options, warm=False)
    measures = [
        Measure(f"times faster than {peer}", timings[peer].total / timings[ENGINE].total)
        for peer in peers
    ]
    notes = [
        f"{timings[peer].distinct} of {len(conditions)} conditions were measured with {peer}; its "
        f"total is the median one times {len(conditions)}."
        for peer in peers
    ]
    return Case(name, timings, measures, same, notes=notes)


if __name__ == "__main__":
    main()
