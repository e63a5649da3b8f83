"""The base of an image: packages from Debian, or an image from a registry or a file."""
