"""`VLM`, a loaded vision-language model, and `Run`, one clean forward pass of it.

They create and refer to each other (`vlm.run(prompt)`, `run.vlm`), so both are defined here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from .. import arguments
from ..data import ImageSource
from ..errors import InputError
from ..models import Inputs, entering, in_turn
from ..tokens import Position, Positions, TokenSet
from ._attention_rows import attention_rows
from ._base_run import BaseRun, Where
from ._base_vlm import BaseVLM
from ._clean import Clean, clean_pass, common_start
from ._edited import edited_pass
from ._effects import Effects, execution_for
from ._generate import Generation
from ._interventions import Condition, Patch
from ._prompt import Prompt, refuse_longer
from ._resolve import resolve, resolve_all
from ._resolved import ResolvedCondition
from ._runs import Runs


@dataclass(frozen=True, eq=False, repr=False)
class Run(BaseRun):
    """One clean forward pass of a prompt. Made by `vlm.run(prompt)`.

    Attributes:
        vlm: the model.
        prompt, inputs: the prompt, and the inputs with its encoded images.
        sequence: the positions; token sets belong to it.
    """

    vlm: VLM

    def attention(
        self, layer: int, queries: Where = "last", under: Condition = ()
    ) -> Float[Tensor, "head query key"]:
        """Returns attention weights of one block for some rows, computed on demand.

        Args:
            layer: 0-based block.
            queries: positions of the rows.
            under: interventions under which the weights are read; costs a forward pass.

        Raises:
            InputError: there is no such layer or position, or an intervention is refused.
            CapabilityError: the family's attention cannot be read.
        """
        layer = arguments.whole(layer, "blocks", 0, self.adapter.n_layers - 1)
        self.vlm.capabilities.require("attention")
        self.require_current()
        rows = self._places("last" if queries is None else queries)
        resolved = resolve(self, under)
        with entering(self.vlm.model):
            clean = edited_pass(self._clean, resolved) if under else self._clean
            return attention_rows(clean, layer, rows, resolved.blocked)

    def generate(self, max_new_tokens: int = 64, *, keep_logits: bool = True) -> Generation[Run]:
        """Continues the prompt greedily.

        As the library's `generate(do_sample=False, num_beams=1)`: the model's generation_config
        provides the end tokens and everything that changes scores (repetition and n-gram penalties,
        suppressed, forced and bad tokens, biases, minimum lengths), applied by the library's own
        logits processors. Its settings for sampling, beams and maximum length are ignored.

        Raises:
            InputError: `max_new_tokens` is below 1.
            CapabilityError: generation_config sets something that is not supported here (guidance,
                stop strings, a time limit, a watermark, constraints).
        """
        return self.counterfactuals([()]).generate(max_new_tokens, keep_logits=keep_logits)[0]

    def counterfactuals(
        self,
        conditions: Sequence[Condition],
        *,
        exact: Literal["incremental", "reference"] = "incremental",
        memory: str | int | None = None,
        batch_size: int | None = None,
    ) -> Effects[Run]:
        """Returns this run under interventions, one row per condition.

        Args:
            conditions: interventions, or lists of interventions that are applied together; an empty
                list changes nothing.
            exact: "incremental" computes only what an intervention can affect, and equals the full
                forward pass within rounding; "reference" is that full forward pass. A model that
                does not support the former uses the latter; `effects.path` reports which.
            memory: maximum memory for a batch of conditions, such as "4GB"; half of what is free if
                None. A batch that runs out of memory all the same is halved.
            batch_size: largest number of conditions in a batch; as many as fit if None.

        Raises:
            InputError: there are no conditions, `conditions` is not a list, path or memory are
                invalid, or an intervention would change nothing or cannot be carried out; nothing
                has been computed then.
            CapabilityError: this model does not allow an intervention exactly.
        """
        execution = execution_for(self.vlm, exact, memory, batch_size)
        conditions = arguments.several(conditions, "conditions")
        return Effects(self, conditions, self.resolve(conditions), execution)

    def patched(
        self,
        position: int,
        layer: int,
        donor: BaseRun,
        donor_layer: int,
        donor_positions: Sequence[int],
        memory: str | int | None = None,
    ) -> Effects[Run]:
        """Returns this run with the state at one position replaced, once by each of a donor's.

        Args:
            position, layer: the state that is replaced.
            donor, donor_layer, donor_positions: the states that take its place, one per row.
            memory: as for `counterfactuals`.

        Raises:
            InputError: there is no such position or layer, or as `Patch`.
        """
        here = TokenSet.of(self.sequence, [arguments.whole(position, "position", 0, self.n - 1)])
        there = arguments.wholes(donor_positions, "donor_positions", 0, donor.n - 1, Position)
        patches = [
            Patch(here, layer, donor, TokenSet.of(donor.sequence, [place]), donor_layer)
            for place in there
        ]
        return self.counterfactuals(patches, memory=memory)

    def resolve(self, conditions: Sequence[Condition]) -> tuple[ResolvedCondition, ...]:
        """Checks and resolves the conditions; see `counterfactuals`."""
        return resolve_all(self, conditions)

    def with_continuation(self, token_ids: Sequence[int]) -> Run:
        """The clean pass over the same prompt and these tokens, in place of what followed it.

        Raises:
            InputError: as `VLM.run`.
        """
        return self.vlm.run(self.prompt, continuation=token_ids)


class VLM(BaseVLM):
    """A vision-language model and its processor. Made by `load`.

    Attributes:
        model, processor: the Hugging Face objects, untouched.
        adapter: the adapter of the model's family.
        capabilities: what is supported, and why the rest is not; prints as a table.
        name: the name it was loaded from.
    """

    @in_turn(lambda self: self.model)
    @torch.no_grad()
    def run(self, prompt: Prompt, *, continuation: Sequence[int] = ()) -> Run:
        """Runs the clean forward pass of a prompt; the vision tower runs once per image.

        Args:
            prompt: from `prompt`.
            continuation: token ids of the model's own answer, appended to the prompt.

        Raises:
            InputError: `prompt` is not a prompt, token ids are outside the vocabulary, there are
                more positions than the model's context has, or the model is in training mode.
        """
        prompt = _require_prompt(prompt)
        ids = arguments.wholes(continuation, "token ids as continuation", 0, self.vocab_size - 1)
        inputs = prompt.inputs.followed_by(ids) if ids else prompt.inputs
        refuse_longer(self.adapter, inputs)
        state = self.state()
        inputs = self._with_images(inputs, state)
        clean = clean_pass(self.adapter, inputs, self._embedded(inputs), state=state)
        return self._run(prompt, inputs, clean)

    @in_turn(lambda self: self.model)
    @torch.no_grad()
    def run_many(
        self,
        image: ImageSource | Sequence[ImageSource] | None,
        prompts: Sequence[str | Prompt],
    ) -> Runs[Run]:
        """One run for each prompt about the same image; their shared prefix is computed once.

        Args:
            image: as for `prompt`.
            prompts: texts, or prompts made from the same image.

        Raises:
            InputError: there are no prompts, `prompts` is not a list, or as for `prompt`.
        """
        given = arguments.several(prompts, "prompts")
        if not given:
            raise InputError("expected at least one prompt, got none")
        asked = [p if isinstance(p, Prompt) else self.prompt(image, p) for p in given]
        state = self.state()
        inputs = [self._with_images(prompt.inputs, state) for prompt in asked]
        alone = torch.is_autocast_enabled(self.device.type)
        alone = alone or not self.capabilities.supports("incremental")
        shared = 0 if alone else common_start(inputs)
        if len({self.adapter.angles(prompt, len(prompt.input_ids)) for prompt in inputs}) > 1:
            # Keys are rotated by angles that depend on each prompt's length.
            shared = 0
        cleans: list[Clean] = []
        for prompt in inputs:
            if len(cleans) == 1 and not cleans[0].closed(shared):
                # The prompt attends in both directions, so the common start differs in each.
                shared = 0
            prefix = (cleans[0], shared) if cleans and shared else None
            cleans.append(clean_pass(self.adapter, prompt, self._embedded(prompt), prefix, state))
        runs = (self._run(*parts) for parts in zip(asked, inputs, cleans, strict=True))
        return Runs(tuple(runs), shared)

    def _run(self, prompt: Prompt, inputs: Inputs, clean: Clean) -> Run:
        places = zip(inputs.image_positions, inputs.layouts, strict=True)
        sequence = Positions(len(inputs.input_ids), tuple(places))
        return Run(self, prompt, inputs, sequence, clean)


def _require_prompt(prompt: object) -> Prompt:
    if isinstance(prompt, Prompt):
        return prompt
    got = repr(prompt) if isinstance(prompt, str) else f"a {type(prompt).__name__}"
    raise InputError(
        f"expected a prompt, got {got}: make one with vlm.prompt(image, text), with None as image "
        "for text only"
    )
