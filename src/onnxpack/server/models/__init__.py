"""Models that are served: opened, proven, batched and counted, whatever the protocol."""
