"""Recipe of smol's adapter; `train_smol` reproduces it."""

from ._config import Eyes, Losses, Parts, SmolRecipe
from ._train import train_smol

__all__ = ["Eyes", "Losses", "Parts", "SmolRecipe", "train_smol"]
