"""How the packaged models were made: `train`, `train_smol` and `train_encoders` make them anew."""
