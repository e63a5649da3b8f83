"""The exporter that adopts ONNX files."""
