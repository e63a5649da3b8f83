"""Frameworks in: a model and a sample become a proven pack."""
