"""What is told while something runs: progress, metrics, TensorBoard's events, busy cores."""
