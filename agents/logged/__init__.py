"""Logged experience, as files: demonstrations and episodes, to learn from and to evaluate policies
on."""
