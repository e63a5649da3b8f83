"""Serving over HTTP: the connection, the ASGI application, its endpoints, and the page."""
