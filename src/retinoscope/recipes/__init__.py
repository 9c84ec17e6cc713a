"""Recipes of the packaged models: `train`, `train_smol` and `train_encoders` reproduce them."""
