"""The cache of image parts: folders, layers and facts, each checked before it is used."""

from onnxpack.image.cache.cache import Cache, key_of
from onnxpack.image.cache.cold import cold_cache
from onnxpack.image.cache.tree import Tree

__all__ = ["Cache", "Tree", "cold_cache", "key_of"]
