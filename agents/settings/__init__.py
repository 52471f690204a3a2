"""Settings of algorithms and sweeps; they import neither torch nor Ray until a run asks for its
parts."""
