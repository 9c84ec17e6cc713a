"""Probes: what light heads read from frozen layers, of what is shown and of where it is."""
