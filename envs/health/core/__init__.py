"""What treatments share: patients in a vector, baselines, charts, notes."""
