"""Samples, arguments and answers: nested values and the named arrays in them."""
