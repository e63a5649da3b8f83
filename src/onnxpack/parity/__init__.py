"""The proof: a graph is held against the framework over many cases."""
