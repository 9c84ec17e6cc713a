"""Perceptual grouping: which class each location is given, and which locations go together."""
