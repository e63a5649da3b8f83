"""Functions and modules of JAX: jitted functions, Flax and Equinox."""
