"""Layers of an image: entries written as a tar, compressed, read and checked."""
