"""Modules that see, torch only: each config builds an encoder of observations."""
