"""PyTorch modules, exported programs and TorchScript."""
