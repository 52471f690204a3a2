"""Processes and machines: Ray's cluster, signals, Ray's own output."""
