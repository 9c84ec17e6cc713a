"""Probes: what light heads read from frozen layers, about what is shown and where it is."""
