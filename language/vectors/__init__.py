"""Words, sentences and documents as vectors."""
