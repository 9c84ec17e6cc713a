"""The embedded default: three small vision-language models, their weights and their recipe.

`folder(name)` is the Hugging Face folder of a packaged model; `recipe` trains them anew.
"""

from ._folder import MODELS, folder

__all__ = ["MODELS", "folder"]
