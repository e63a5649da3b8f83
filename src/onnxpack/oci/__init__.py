"""Container images and registries, by the OCI's specifications; knows no pack and no ONNX."""
