"""The learners: experiments, the engine on Ray RLlib, algorithms, evaluation."""
