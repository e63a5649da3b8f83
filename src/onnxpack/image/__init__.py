"""From a pack to a container image."""
