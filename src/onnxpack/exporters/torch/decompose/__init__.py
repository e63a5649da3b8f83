"""Operators that ONNX lacks, spelled out by operators that it has."""
