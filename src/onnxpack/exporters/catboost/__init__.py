"""CatBoost: trees of every shape and loss, from the model's own JSON."""
