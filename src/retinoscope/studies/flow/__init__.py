"""Along which edges the image reaches the answer (Kaduri et al. 2024; Zhang et al. 2024)."""
