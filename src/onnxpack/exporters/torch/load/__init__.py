"""Load model files and registries that PyTorch and its libraries define."""
