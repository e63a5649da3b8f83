"""XGBoost exporter: every booster and objective, read from the booster's own JSON."""
