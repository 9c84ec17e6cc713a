"""Reading visual tokens in the vocabulary, layer by layer (Neo et al. 2024)."""
