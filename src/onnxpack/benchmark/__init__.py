"""Measure how fast a pack is compared with its framework."""
