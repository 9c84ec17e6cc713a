"""Which attention edges the answer needs, by windows of layers (Neo et al. 2024)."""
