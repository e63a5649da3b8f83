"""Rewrite model parts that exporters cannot follow."""
