"""The comparison of a model's image with an image of the framework: built, started, measured."""
