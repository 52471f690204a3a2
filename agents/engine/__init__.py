"""RLlib made fast: a columnar environment runner, learner and module."""
