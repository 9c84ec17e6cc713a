"""Trainings of visual interfaces: their towers, their language model, and the systems."""
