"""OCI container images and registries; independent of packs and ONNX."""
