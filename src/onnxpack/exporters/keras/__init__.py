"""Keras exporter: Keras 3 models on any of its backends."""
