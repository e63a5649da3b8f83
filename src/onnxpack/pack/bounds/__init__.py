"""Judge, before a library reads a graph, how much memory it may want."""
