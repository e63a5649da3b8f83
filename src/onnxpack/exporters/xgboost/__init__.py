"""XGBoost: every booster and objective, from the booster's own JSON."""
