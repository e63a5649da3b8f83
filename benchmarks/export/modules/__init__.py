"""Small PyTorch modules that people really write, by what is hard about them."""
