"""Serving over gRPC: the server, its calls, health checks, and the protocol's messages."""
