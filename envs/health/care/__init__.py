"""Episodes of care in a hospital."""
