"""How few visual tokens suffice to answer again (Kaduri et al. 2024; Zhang et al. 2024)."""
