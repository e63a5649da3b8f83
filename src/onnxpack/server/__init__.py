"""Serving packs over HTTP, proven before they answer."""
