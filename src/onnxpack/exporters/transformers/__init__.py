"""Models of Hugging Face transformers, and the folders in which they are kept."""
