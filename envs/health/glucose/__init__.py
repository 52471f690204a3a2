"""Insulin for patients with type 1 diabetes."""
