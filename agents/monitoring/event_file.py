"""A file of TensorBoard events."""

import os
import socket
import time
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event, SessionLog  # pyright: ignore[reportAttributeAccessIssue]
from tensorboard.compat.proto.summary_pb2 import Summary  # pyright: ignore[reportAttributeAccessIssue]
from tensorboard.summary.writer.record_writer import RecordWriter

VERSION = "brain.Event:2"


class EventFile:
    """Writes events as they come, where TensorBoard's own writer has a thread: a full disk is an
    error of the call that met it, and a kill costs no event."""

    def __init__(self, folder: Path, first_step: int) -> None:
        """Makes a new file in `folder`; TensorBoard shows nothing of earlier files from
        `first_step` on."""
        host = socket.gethostname()
        now = time.time_ns()  # TensorBoard reads files in the order of their names
        name = f"events.out.tfevents.{now // 10**9:010d}.{host}.{os.getpid()}.{now}"
        self.file = (folder / name).open("xb")
        self.records = RecordWriter(self.file)
        self._write(Event(file_version=VERSION))
        self._write(Event(step=first_step, session_log=SessionLog(status=SessionLog.START)))

    def add(self, summary: Summary, step: int = 0) -> None:
        """Writes a summary. Raises OSError where the disk does not take it."""
        self._write(Event(step=step, summary=summary))

    def add_scalars(self, values: dict[str, float], step: int) -> None:
        """Writes numbers by name. Raises OSError where the disk does not take them."""
        self.add(
            Summary(
                value=[
                    Summary.Value(tag=name, simple_value=value) for name, value in values.items()
                ]
            ),
            step,
        )

    def add_image(self, name: str, encoded: bytes, size: tuple[int, int], step: int) -> None:
        """Writes an image, encoded as PNG or GIF, of this width and height. Raises OSError as
        `add_scalars` does."""
        width, height = size
        image = Summary.Image(
            height=height, width=width, colorspace=3, encoded_image_string=encoded
        )
        self.add(Summary(value=[Summary.Value(tag=name, image=image)]), step)

    def close(self) -> None:
        self.file.close()

    def _write(self, event: Event) -> None:
        event.wall_time = time.time()
        self.records.write(event.SerializeToString())
        self.file.flush()
