"""Read ONNX graphs: nodes, shapes, signature and cost."""
