"""Converters: each module writes the methods of a group of estimators as ONNX nodes."""
