"""The pack format: a folder with a graph, its golden data and its proof."""
