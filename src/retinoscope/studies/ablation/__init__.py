"""Which right answers become wrong when visual tokens are replaced (Neo et al. 2024)."""
