"""Atari games, and Space Invaders as a list of objects."""
