"""Transformations of a graph, one per file; each writes a new graph and returns its step."""
