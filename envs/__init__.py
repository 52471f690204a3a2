"""Environments, gymnasium only: each config builds one environment or a vector of them."""
