"""Model parts that exporters cannot follow, rewritten in parts that they can."""
