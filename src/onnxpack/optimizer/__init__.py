"""Find faster graphs of a pack, and judge each by how much of the answers it keeps."""
