"""Networks that read instructions and notes, as parts of an agent's encoder."""
