"""Optimize: faster graphs of a pack, each judged by what it keeps of the answers."""
