"""Compare predictions: decide when two arrays count as equal."""
