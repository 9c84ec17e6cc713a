"""What a model family supports, what is refused, and why."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..errors import CapabilityError


@dataclass(frozen=True)
class Capability:
    """Whether this model supports a method exactly, and if not, the reason."""

    name: str
    supported: bool
    why: str = ""


@dataclass(frozen=True)
class Capabilities:
    """What one model supports. `print(vlm.capabilities)` shows it as a table."""

    family: str
    architecture: str
    decoder: str
    n_layers: int
    n_heads: int
    d_model: int
    vocab_size: int
    attention: str
    methods: tuple[Capability, ...]

    def supports(self, name: str) -> bool:
        """Whether the method `name` is supported; an unknown name is not."""
        return any(method.supported for method in self.methods if method.name == name)

    def require(self, name: str) -> None:
        """Raises `CapabilityError` with the reason unless `name` is supported."""
        for method in self.methods:
            if method.name == name and not method.supported:
                raise CapabilityError(f"{self.architecture} does not support {name}: {method.why}")

    def refusing(self, name: str, why: str) -> Capabilities:
        """The same capabilities without a method that proved not to be exact.

        Methods that are already refused keep their reason, which comes from the family itself.
        """
        methods = tuple(
            Capability(name, False, why) if method.name == name and method.supported else method
            for method in self.methods
        )
        return replace(self, methods=methods)

    def __str__(self) -> str:
        head = (
            f"{self.architecture} (family {self.family}), decoder {self.decoder}: "
            f"{self.n_layers} layers, {self.n_heads} heads, d_model {self.d_model}, "
            f"vocabulary {self.vocab_size}, attention {self.attention}"
        )
        lines = [
            f"  {method.name:<22} {'yes' if method.supported else 'no':<4} {method.why}".rstrip()
            for method in self.methods
        ]
        return "\n".join([head, *lines])
