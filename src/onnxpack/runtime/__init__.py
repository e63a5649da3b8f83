"""Running a pack with ONNX Runtime; this is what goes into an image."""
