"""One file an algorithm: settings, loss, learner, training step."""
