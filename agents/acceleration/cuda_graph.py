"""CUDA graphs: the kernels of a function, recorded once and from then on launched together.

A GPU runs the kernels of a small network in less time than a processor takes to launch them one by
one."""

from collections.abc import Callable

import torch

from agents.data import Columns

CALLS_BEFORE_RECORDING = 3
"""In which what is made at first use is made: an optimizer's state, a library's choice of
kernels."""


class CUDAGraph:
    """A function of columns that gives columns, on a GPU, as a graph for the shapes of its first
    calls.

    Whatever may differ between two calls has to be in the columns, in what the function changes in
    place or in the `generators` that it draws from; and it must never wait for the GPU."""

    def __init__(
        self, function: Callable[[Columns], Columns], *generators: torch.Generator
    ) -> None:
        self.function = function
        self.generators = generators
        self.calls = 0
        self.graph: torch.cuda.CUDAGraph | None = None

    def __call__(self, columns: Columns) -> Columns:
        self.calls += 1
        if self.calls <= CALLS_BEFORE_RECORDING:
            return self._launch_one_by_one(columns)
        if self.graph is None:
            self.graph = self._record(columns)
        for name, held in self.inputs.items():
            if columns[name].shape != held.shape:  # `copy_` would broadcast
                raise ValueError(
                    f"A graph for {name} {tuple(held.shape)} cannot take "
                    f"{tuple(columns[name].shape)}."
                )
            held.copy_(columns[name])
        self.graph.replay()
        # Copies, because the next replay writes its results into the same memory.
        return {name: column.clone() for name, column in self.outputs.items()}

    def _launch_one_by_one(self, columns: Columns) -> Columns:
        # Not on the stream of everything else, to which autograd would bind the weights; a graph
        # has one of its own.
        everything_else = torch.cuda.current_stream()
        own = torch.cuda.Stream()
        own.wait_stream(everything_else)
        with torch.cuda.stream(own):
            outputs = self.function(columns)
        everything_else.wait_stream(own)
        return outputs

    def _record(self, columns: Columns) -> torch.cuda.CUDAGraph:
        self.inputs = {name: column.clone() for name, column in columns.items()}
        graph = torch.cuda.CUDAGraph()
        for generator in self.generators:
            graph.register_generator_state(generator)
        # Other threads may go on with theirs, such as drawing from a replay.
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            self.outputs = self.function(self.inputs)
        return graph
