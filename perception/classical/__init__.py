"""Image processing without learning: filters and connected components."""
