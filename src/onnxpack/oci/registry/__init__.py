"""Registries: pull, push and attach, with the credentials that docker and podman keep."""
