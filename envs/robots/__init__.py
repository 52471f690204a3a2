"""Robots on PyBullet: locomotion, arms with goals, grasping from images, path planning."""
