"""Modules that read, torch only."""
