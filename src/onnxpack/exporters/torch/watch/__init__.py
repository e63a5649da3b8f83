"""Witnesses: each observes the model and decides whether a graph can be trusted."""
