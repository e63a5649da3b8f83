"""The exporter for Lightning modules."""
