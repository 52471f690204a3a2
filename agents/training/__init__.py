"""A run from its command to its end: folders, checkpoints, recovery, sweeps, and modules trained
apart."""
