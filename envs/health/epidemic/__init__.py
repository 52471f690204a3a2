"""Measures against an epidemic in a region."""
