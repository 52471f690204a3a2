"""One file a command; the only folder that puts agents, environments and encoders together."""
