"""PyTorch exporter: modules, exported programs and TorchScript."""
