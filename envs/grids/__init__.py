"""Grid worlds of Minigrid and BabyAI, with missions in words."""
