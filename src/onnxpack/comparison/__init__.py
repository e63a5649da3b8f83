"""The comparison of predictions: when two arrays count as equal."""
