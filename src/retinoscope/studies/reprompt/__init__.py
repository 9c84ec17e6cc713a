"""How few visual tokens are enough to answer again (Kaduri et al. 2024; Zhang et al. 2024)."""
