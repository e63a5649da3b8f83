"""LightGBM exporter: every booster and objective, linear trees too, from the model's own text."""
