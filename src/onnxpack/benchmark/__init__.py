"""Bench: how fast a pack is beside its framework."""
