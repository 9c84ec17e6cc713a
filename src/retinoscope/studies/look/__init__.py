"""Where words and positions look, head by head (Kaduri et al. 2024; Zhang et al. 2024)."""
