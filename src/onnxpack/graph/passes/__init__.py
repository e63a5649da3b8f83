"""One transformation of a graph a file; each writes a new graph and returns the step it did."""
