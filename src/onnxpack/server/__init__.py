"""Serve packs over HTTP and gRPC, after proving them on this machine."""
