"""The command of a study, built from its options."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, field, fields, make_dataclass
from inspect import cleandoc
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin, get_type_hints

from cyclopts import Parameter
from docstring_parser import parse

from ..studies.registry import STUDIES, options_of, part
from ._common import OBJECTS, RUNNING, Common, Several, check_counts, run_study
from ._loading import Loading, load_model, open_any

if TYPE_CHECKING:
    from ..data import Sample
    from ..studies import Study

_GROUPS = {
    **dict.fromkeys(("min_area", "max_area", "max_objects"), OBJECTS),
    "exact": RUNNING,
}
"""Options that `--help` shows below the study's own."""


def study_command(study: str) -> Callable[..., None]:
    """The command `retinoscope NAME MODEL DATA --out DIR` of one study.

    There is no MODEL if the study's other options name its models.
    """
    options = options_of(study)
    chosen = _parameters(options)

    def run(model: str, data: str, common: Common, loading: Loading, given: Any) -> None:
        for name, least in options.LEAST.items():
            check_counts(least, **{name: getattr(given, name)})
        given.check()
        first, asked = given.resolved(model)

        def make(vlm: Any, samples: Sequence[Sample]) -> Study:
            made = part(study, "study").make
            return made(vlm, samples, asked, seed=common.seed, n_examples=common.examples)

        opened = open_any if options.ANY_MODEL else load_model
        run_study(first, data, common, loading, make, opened)

    def with_model(
        model: str, data: str, /, *, common: Common, loading: Loading, given: Any
    ) -> None:
        run(model, data, common, loading, given)

    def without(data: str, /, *, common: Common, loading: Loading, given: Any) -> None:
        run("", data, common, loading, given)

    command: Any = with_model if options.MODEL else without
    named = {"model": Annotated[str, Parameter(help=options.MODEL)]} if options.MODEL else {}
    command.__name__ = str(STUDIES[study])
    command.__doc__ = cleandoc(options.__doc__ or "").partition("\nArgs:")[0]
    command.__annotations__ = {
        **named,
        "data": Annotated[str, Parameter(help=options.DATA)],
        "common": Common,
        "loading": Loading,
        "given": chosen,
        "return": None,
    }
    command.__kwdefaults__ = {"loading": Loading(), "given": chosen()}
    return command


def _parameters(options: type) -> type:
    """The options, annotated with their help and group for the command line."""
    hints = get_type_hints(options)
    known = {
        param.arg_name: param.description or ""
        for kind in reversed(options.__mro__)
        for param in parse(kind.__doc__ or "").params
    }
    annotated = make_dataclass(
        options.__name__,
        [
            (
                option.name,
                Annotated[
                    hints[option.name],
                    _parameter(option, hints[option.name], known, options.ALSO),
                ],
                field(default=option.default),
            )
            for option in fields(options)
            if option.default is not MISSING
        ],
        bases=(options,),
        namespace={"__module__": options.__module__, "__doc__": options.__doc__},
        frozen=True,
        kw_only=True,
    )
    return Parameter(name="*")(annotated)


def _parameter(
    option: Field, hint: Any, known: Mapping[str, str], also: Mapping[str, str]
) -> Parameter:
    shown: dict[str, Any] = {"help": " ".join(known[option.name].split())}
    if option.name in also:
        shown["alias"] = f"--{also[option.name]}"
    if option.name in _GROUPS:
        shown["group"] = _GROUPS[option.name]
    if option.default is False:
        shown["negative"] = ()
    if option.default == ():
        shown["show_default"] = False
    if get_origin(hint) is tuple and get_args(hint)[-1] is ...:
        return Parameter.combine(Several, Parameter(**shown))
    return Parameter(**shown)
