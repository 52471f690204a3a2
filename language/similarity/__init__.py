"""How similar two sentences are, and the reward made of it."""
