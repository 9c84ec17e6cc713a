"""How smol's adapter was made; `train_smol` makes it anew."""

from ._config import Eyes, Losses, Parts, SmolRecipe
from ._train import train_smol

__all__ = ["Eyes", "Losses", "Parts", "SmolRecipe", "train_smol"]
