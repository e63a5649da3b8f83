"""scikit-learn: every fitted estimator, and what is composed of them."""
