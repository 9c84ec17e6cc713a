"""Greedy decoding by the model's generation_config."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..arguments import whole
from ..errors import CapabilityError
from ._base_run import BaseRun
from ._prompt import refuse_longer

_CHANGE_NOTHING = frozenset(
    (
        *("eos_token_id", "bos_token_id", "pad_token_id", "decoder_start_token_id"),
        *("do_sample", "temperature", "top_k", "top_p", "min_p", "top_h", "typical_p"),
        *("epsilon_cutoff", "eta_cutoff", "early_stopping", "length_penalty", "num_beams"),
        *("num_return_sequences", "max_length", "max_new_tokens", "use_cache", "use_mtp"),
        *("cache_implementation", "cache_config", "max_cache_len", "transformers_version"),
        *("output_attentions", "output_hidden_states", "output_scores", "output_logits"),
        *("return_dict_in_generate", "compile_config", "disable_compile", "_from_model_config"),
        *("is_assistant", "num_assistant_tokens", "num_assistant_tokens_schedule"),
        *("assistant_confidence_threshold", "assistant_lookbehind", "target_lookbehind"),
    )
)
"""Entries that affect how tokens are drawn or cached, not which of them scores highest."""

_REFUSED = {
    "guidance_scale": "it takes a second pass without the prompt",
    "max_time": "the answer would depend on the machine's speed",
    "stop_strings": "it ends in the middle of a text: cut the text where you want it to end",
    "watermarking_config": "its scores depend on the other rows of the batch",
    "constraints": "it needs beams",
    "force_words_ids": "it needs beams",
}
_NEUTRAL = {
    **dict.fromkeys(("guidance_scale", "repetition_penalty", "encoder_repetition_penalty"), 1),
    **dict.fromkeys(("no_repeat_ngram_size", "encoder_no_repeat_ngram_size"), 0),
    **dict.fromkeys(("min_length", "min_new_tokens"), 0),
}
"""Values of entries that change nothing, besides None and False."""


@dataclass(frozen=True, eq=False)
class Greedy:
    """The rule by which the next token is chosen and the text ends.

    The same as the library's greedy `generate` with the model's own generation_config: the token
    with the highest score after its logits processors (repetition penalty, suppressed, forced and
    bad tokens, repeated n-grams, minimum lengths, biases). Sampling and beams are ignored.

    Attributes:
        ends: ids that end a text; the tokenizer's if generation_config names none.
    """

    ends: frozenset[int]
    _prompt: Int[Tensor, " token"]
    _processors: Any

    def choose(
        self, logits: Float[Tensor, "batch vocab"], written: Sequence[Sequence[int]]
    ) -> Int[Tensor, " batch"]:
        """Returns the next token of each row, after the prompt and `written`."""
        if self._processors is None:
            return logits.argmax(-1)
        new = torch.tensor(written, dtype=torch.long, device=logits.device)
        prompt = self._prompt.to(logits.device).expand(len(logits), -1)
        ids = torch.cat([prompt, new.reshape(len(logits), -1)], 1)
        return self._processors(ids, logits.clone()).argmax(-1)


def greedy(run: BaseRun, max_new_tokens: int) -> Greedy:
    """The rule by which `run` is continued.

    Raises:
        InputError: `max_new_tokens` is below 1, or more than fit into the context.
        CapabilityError: an entry of generation_config has no exact counterpart here.
    """
    whole(max_new_tokens, "max_new_tokens", 1)
    refuse_longer(run.adapter, run.inputs, max_new_tokens)
    config: Any = getattr(run.adapter.generator, "generation_config", None)
    ends = _ends(config, run.adapter.tokenizer)
    entries = {} if config is None else _set(config)
    for name, why in _REFUSED.items():
        if name in entries:
            raise CapabilityError(
                f"the model's generation_config sets {name}={entries[name]!r}, which is not "
                f"supported here: {why}; set model.generation_config.{name} = None"
            )
    beams = int(entries.get("num_beams", 1))
    if beams > 1:
        warnings.warn(
            f"the model's generation_config asks for {beams} beams: generation here is greedy, "
            "one token after the other",
            stacklevel=3,
        )
    some = entries.keys() - _CHANGE_NOTHING
    processors = _processors(run, ends, max_new_tokens) if some else None
    return Greedy(ends, run.inputs.input_ids, processors or None)


def _set(config: Any) -> dict[str, Any]:
    return {
        name: value
        for name, value in config.to_dict().items()
        if value is not None and value is not False and value != _NEUTRAL.get(name)
    }


def _ends(config: Any, tokenizer: Any) -> frozenset[int]:
    ids: Any = getattr(config, "eos_token_id", None)
    if ids is None:
        ids = getattr(tokenizer, "eos_token_id", None)
    if ids is None:
        return frozenset()
    return frozenset([ids] if isinstance(ids, int) else ids)


def _processors(run: BaseRun, ends: frozenset[int], max_new_tokens: int) -> Any:
    """Returns the library's own logits processors for this prompt, as its `generate` makes them."""
    model: Any = run.adapter.generator
    device = run.logits.device
    config, _ = model._prepare_generation_config(None, do_sample=False, num_beams=1)
    config = copy.copy(config)
    config.max_length = run.n + max_new_tokens
    config._eos_token_tensor = torch.tensor(sorted(ends), device=device) if ends else None
    return model._get_logits_processor(
        generation_config=config,
        input_ids_seq_length=run.n,
        encoder_input_ids=run.inputs.input_ids[None].to(device),
        prefix_allowed_tokens_fn=None,
        logits_processor=[],
        device=str(device),
    )
