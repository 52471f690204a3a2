"""Settings classes of modules that read; they import neither torch nor their networks until these
are built."""
