"""The application: its help, and every command by name.

Commands import what they need when they run, so that `--help` answers at once.
"""

from __future__ import annotations

from cyclopts import App, Group

from .. import __version__
from ..studies.registry import FORMER_COMMANDS, STUDIES
from ._check import known_answers
from ._collect import collect
from ._common import PARTLY
from ._curate import curate
from ._demo import demo
from ._doctor import doctor
from ._fetch import fetch
from ._fit_lens import fit_lens
from ._models import models
from ._read import read
from ._report import report
from ._reproduce import reproduce
from ._study_command import study_command
from ._train import train
from ._view import serve, view

HELP = """See how a vision-language model (VLM) sees.

Which visual tokens carry an object, what each of them says at each layer, and along which attention
edges this reaches the answer: the three experiments of Neo et al. 2024 (arXiv 2410.07149) on any
supported Hugging Face model, each with its controls and 95% intervals.

Start here; this takes a few minutes and downloads nothing:

    retinoscope demo
"""

EPILOGUE = """MODEL is pocket (packaged), smol (after `retinoscope fetch smol`), \
a Hugging Face Hub id or a folder. \
DATA is scenes:N (drawn), \
coco:FOLDER, vg:FOLDER, voc:FOLDER, ade20k:FOLDER, \
folder:PATH, table:FILE or datasets:NAME_OR_PATH; \
where people looked: vista:FOLDER, gaze:FOLDER or collected:FOLDER. \
color:DATA names objects by their colours. \
planted:NAME with squares:N are models with a known mechanism, for testing a method.

Studies can be interrupted: the same command continues where it stopped. Add --debug to any \
command for tracebacks. Exit codes: 0 done, 1 the study failed, 2 wrong use or bad input, \
{partly}130 interrupted.
"""
_PARTLY = EPILOGUE.format(partly=f"{PARTLY} done while some images failed, ")
"""Shown below the help of commands that continue when an image fails."""

app = App(
    name="retinoscope",
    help=HELP,
    help_epilogue=EPILOGUE.format(partly=""),
    help_format="markdown",
    version=__version__,
    # `main` turns Ctrl-C into an exit code and a message.
    suppress_keyboard_interrupt=False,
)

_whole = Group("The whole paper", sort_key=1)
_studies = Group("Studies", sort_key=2)
_more = Group("Reports and models", sort_key=3)

app.command(demo, group=_whole)
app.command(reproduce, group=_whole, help_epilogue=_PARTLY)
app.command(curate, group=_studies, help_epilogue=_PARTLY)
for _study, _name in STUDIES.items():
    if _name is not None:
        app.command(study_command(_study), name=_name, group=_studies, help_epilogue=_PARTLY)
app.command(report, group=_more)
app.command(view, group=_more)
app.command(serve, group=_more)
app.command(collect, group=_more)
app.command(models, group=_more)
app.command(fetch, group=_more)
app.command(read, group=_more)
app.command(doctor, group=_more)
app.command(known_answers, group=_more)
for _study, _name in FORMER_COMMANDS.items():
    app.command(study_command(_study), name=_name, show=False, help_epilogue=_PARTLY)
app.command(known_answers, name="check", show=False)
for _several in (fit_lens, train):
    _several.group = (_more,)
    app.command(_several)
