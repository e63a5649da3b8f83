"""Build a container image that serves a pack."""
