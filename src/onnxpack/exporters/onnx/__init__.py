"""ONNX exporter: adopts existing ONNX files."""
