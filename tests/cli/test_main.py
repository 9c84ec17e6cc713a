"""Exit codes and what a user reads when something is wrong."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from retinoscope.cli import _common, _demo, _main, main
from retinoscope.errors import CapabilityError, InputError, MissingExtraError, StudyError


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    code = "import sys; from retinoscope.cli import main; sys.exit(main())"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )


def test_a_process_ends_with_the_exit_code_and_one_line(tmp_path: Path) -> None:
    done = _run("ablate", "pocket", "scenes:none", "--out", str(tmp_path / "out"))
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr
    assert "scenes:none" in done.stderr or "none" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["ablate", "pocket"], "DATA"),
        (["ablate", "pocket", "scenes:3"], "--out"),
        (["ablate", "pocket", "scenes:3", "--out", "x", "--fill", "water"], "water"),
        (["ablate", "pocket", "scenes:3", "--out", "x", "--colour", "red"], "--colour"),
        (["lens", "pocket", "scenes:3", "--out", "x", "--seed", "one"], "one"),
        (["lens", "pocket", "scenes:3", "--out", "x", "--device", "tpu9"], "such as cpu"),
        (["lens", "pocket", "scenes:3", "--out", "x", "--device", "cuda:99"], "device of this"),
        (["nonsense"], "nonsense"),
        (["demo", "--scenes", "2"], "at least 4"),
        (["train", "pocket", "--work", "w", "--out", "o", "--scale", "0"], "above 0"),
        (["train", "smol", "--work", "w", "--out", "o", "--held-out", "0"], "above 0"),
        (["train", "smol", "--work", "w", "--out", "o", "--rate", "-1"], "above 0"),
        (
            ["group", "F", "scenes:3", "--out", "x", "--preset", "spurious", "--n-groups", "4"],
            "--n-groups",
        ),
        (["group", "pocket", "scenes:3", "--out", "x", "--min-cover", "0.5"], "--min-cover"),
    ],
)
def test_wrong_use_is_one_line_and_code_2(
    arguments: list[str],
    words: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert words in captured.err
    assert list(tmp_path.iterdir()) == []


def test_an_option_of_another_kind_of_model_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    model = "small:contrastive-max"
    assert main(["group", model, "scenes:3", "--out", "x", "--dtype", "float16"]) == 2
    (line,) = [one for one in capsys.readouterr().err.splitlines() if one.startswith("error:")]
    assert "--dtype" in line
    assert list(tmp_path.iterdir()) == []


def _full() -> StudyError:
    error = StudyError("cannot write x: no space left on device")
    error.__cause__ = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return error


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (InputError("expected a, got b: do c"), 2, "error: expected a, got b: do c"),
        (CapabilityError("not on this model"), 2, "error: not on this model"),
        (MissingExtraError("pycocotools", "coco"), 2, "pip install 'retinoscope[coco]'"),
        (StudyError("nothing worked"), 1, "failed: nothing worked"),
        (_full(), 2, "no space left"),
        (OSError(errno.ENOSPC, "No space left on device", "/x"), 2, "cannot use /x: no space"),
        (ZeroDivisionError("division by zero"), 1, "failed: ZeroDivisionError: division by zero"),
        (InputError("two\nlines"), 2, "error: two lines"),
    ],
)
def test_errors_become_codes_and_lines(error: Exception, code: int, words: str) -> None:
    found, line = _main.explained(error)
    assert found == code
    assert words in line
    assert "\n" not in line


def _raising(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def samples_of(*_: object) -> None:
        raise error

    monkeypatch.setattr(_demo, "samples_of", samples_of)
    monkeypatch.setattr(_common, "samples_of", samples_of)


def test_interrupt_says_how_to_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _raising(monkeypatch, KeyboardInterrupt())
    assert main(["demo"]) == 130
    assert "the same command continues" in capsys.readouterr().err
    assert main(["lens", "pocket", "scenes:3", "--out", "x"]) == 130


def test_debug_shows_the_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _raising(monkeypatch, RuntimeError("a bug"))
    assert main(["demo"]) == 1
    short = capsys.readouterr().err
    assert "Traceback" not in short
    assert "--debug" in short
    assert main(["demo", "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err
