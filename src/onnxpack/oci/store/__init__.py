"""Images on this machine: layouts, archives and their blobs, written, read and validated."""
