"""Settings classes of modules that see; they import neither torch nor their networks until these
are built."""
