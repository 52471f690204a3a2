"""Hypothesis keeps no clock: the first call of a property pays for lazy imports, and CI machines are shared."""

from hypothesis import settings

settings.register_profile("praxis", deadline=None, max_examples=60, database=None)
settings.load_profile("praxis")
