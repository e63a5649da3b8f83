"""JAX exporter: jitted functions, and modules of Flax and Equinox."""
