"""The embedded default: small vision-language models, their weights and their recipe.

`folder(name)` is the Hugging Face folder of a packaged model, `scores(name)` what it reached on
held-out scenes; `recipe` trains them anew.
"""

from ._folder import MODELS, folder, scores

__all__ = ["MODELS", "folder", "scores"]
