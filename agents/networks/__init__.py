"""Networks with their heads: what RLlib calls RL modules, distributions, packing of
observations."""
