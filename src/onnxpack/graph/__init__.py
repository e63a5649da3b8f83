"""What an ONNX graph is made of."""
