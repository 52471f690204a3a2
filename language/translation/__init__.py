"""Translation from one language to another, with a Transformer trained here."""
