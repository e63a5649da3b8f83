"""CatBoost exporter: trees of every shape and loss, read from the model's own JSON."""
