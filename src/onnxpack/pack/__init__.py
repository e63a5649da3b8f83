"""Our format: a folder that holds a graph, its golden data and its proof."""
