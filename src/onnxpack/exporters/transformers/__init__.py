"""transformers exporter: Hugging Face models, and the folders that hold them."""
