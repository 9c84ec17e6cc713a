"""All benchmarks one after the other, each in a process of its own, then the page.

python -m benchmarks                  this interpreter for all of them
python -m benchmarks --peers PYTHON   an interpreter that has the peers (see the Makefile)
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec

from .page import write_page

ALL = ("knockouts", "ablations", "lens", "fitted_lenses", "contextual", "overhead", "state")
PEERS = ("peers", "peers_lenses")


def main(argv: Sequence[str] | None = None) -> int:
    """Returns how many benchmarks failed; the others' results are on the page."""
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=(*ALL, *PEERS), default=None)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--peers", default=None, help="an interpreter that has the peers")
    given = parser.parse_args(argv)
    names: list[str] = list(given.only or ALL)
    python = dict.fromkeys(names, sys.executable)
    if given.peers is not None:
        python |= dict.fromkeys(PEERS, given.peers)
    elif not given.only and find_spec("nnsight") and find_spec("transformer_lens"):
        python |= dict.fromkeys(PEERS, sys.executable)
    failed = []
    for name, interpreter in python.items():
        print(f"\n== {name}", flush=True)
        command = [interpreter, "-m", f"benchmarks.{name}", "--threads", str(given.threads)]
        if subprocess.run(command, check=False).returncode:
            failed.append(name)
    print(f"\n{write_page()}")
    if failed:
        print("failed: " + ", ".join(failed), file=sys.stderr)
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
