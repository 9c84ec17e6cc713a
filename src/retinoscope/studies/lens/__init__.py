"""What visual tokens say in the vocabulary, layer by layer (Neo et al. 2024)."""
