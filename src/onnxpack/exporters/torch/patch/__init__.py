"""Temporary replacements in PyTorch while a model is traced or exported."""
