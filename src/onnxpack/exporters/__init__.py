"""Exporters: turn a framework's model and a sample into a proven pack."""
