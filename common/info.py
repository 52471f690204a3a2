"""Keys of an environment's `info` that agents read, and what an environment may raise."""

CRASHES = (Exception, SystemExit)
"""What an environment may raise without ending the run: sys.exit, too."""

LEARNING_TERMINATED = "learning_terminated"
"""Steps that the learner should treat as the end of an episode although the game goes on, such as a
lost life; of a vector environment, bool (N,)."""

IS_SUCCESS = "is_success"
"""Whether the episode is a success as it stands. The last value of an episode counts."""

EPISODE_METRICS = "episode_metrics"
"""On an episode's last step: numbers by name about the whole episode, besides its return, such as
how much longer than the shortest the path was. A number that means nothing for an episode is left
out."""

ENVIRONMENT_FAULT = "environment_fault"
"""Why an environment failed and was built again. On an episode's last step it says that this step
failed and the episode was cut; on another one, that it happened between two episodes."""

ACTION_MASK = "action_mask"
"""Which actions are possible at the next step, (A,): ones and zeros. Agents read it as the part of
this name of an observation."""
