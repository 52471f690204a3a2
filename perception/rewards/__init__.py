"""Reward models: curiosity, and imitation by a discriminator."""
