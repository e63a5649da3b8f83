"""Run a pack with ONNX Runtime; images contain this package."""
