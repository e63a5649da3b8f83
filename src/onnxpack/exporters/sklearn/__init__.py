"""Exporter for fitted scikit-learn estimators and everything composed of them."""
