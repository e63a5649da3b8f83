"""Decompositions of operators that ONNX lacks into operators that it has."""
