"""Serving packs over HTTP and gRPC, proven before they answer."""
