"""Networks from observations to features, which agents learn with."""
