"""The replay buffer: a ring of frames, priorities, hindsight goals, and how it is saved."""
