"""Families of estimators: each writes the methods of some estimators as a graph."""
