"""To be."""
FAMILIES: dict = {}
