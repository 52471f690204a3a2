"""One file an algorithm: loss, learner, training step. Its settings are in agents/settings."""
