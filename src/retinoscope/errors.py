"""The errors that a user can meet. Each message says what was expected, what it got, what to do."""

from importlib.util import find_spec


class RetinoscopeError(Exception):
    """Base of every error that retinoscope raises deliberately.

    Its message is a single line, which the command line prints without a traceback; line breaks in
    what libraries and files report are removed.
    """

    def __str__(self) -> str:
        return " ".join(line.strip() for line in super().__str__().splitlines())


class InputError(RetinoscopeError, ValueError):
    """A file, an argument or a model that cannot be used as given (exit code 2)."""


class CapabilityError(RetinoscopeError):
    """A method that this model does not support exactly; the message names what would work."""


class NonFiniteError(RetinoscopeError):
    """Results that came out NaN or infinite; the message names where they began, and the dtype."""


class IntegrationWarning(UserWarning):
    """Integrated gradients whose sum is far from the change that they should explain."""


class UnknownWordsWarning(UserWarning):
    """A prompt with words outside the vocabulary of the model's tokenizer.

    Silence it like any Python warning: `warnings.simplefilter("ignore", UnknownWordsWarning)`.
    """


class StudyError(RetinoscopeError):
    """A study that started but could not be finished (exit code 1)."""


class MissingExtraError(RetinoscopeError, ImportError):
    """An optional dependency that is not installed; the message names the install command."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(
            f"this needs the package {package!r}, which is not installed: "
            f"run `pip install 'retinoscope[{extra}]'`"
        )


def require(module: str, package: str, extra: str) -> None:
    """Raises `MissingExtraError` unless a module can be imported; does not import it."""
    if find_spec(module) is None:
        raise MissingExtraError(package, extra)


def one_line(error: Exception) -> str:
    """The message of an error on one line, preceded by its type unless it is an `InputError`."""
    text = " ".join(str(error).split())
    return text if isinstance(error, InputError) else f"{type(error).__name__}: {text}"
