"""Witnesses: each observes the model and says whether a graph may be trusted."""
