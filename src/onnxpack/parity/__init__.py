"""The parity proof: a graph's answers are compared with the framework's over many cases."""
