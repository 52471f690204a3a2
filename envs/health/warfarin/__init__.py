"""Warfarin doses by genotype, and the protocols of clinics."""
