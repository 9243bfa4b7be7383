"""Units on the workers of a Ray cluster."""
