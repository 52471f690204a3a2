"""What agents, environments, perception and language share; this package imports none of them."""
