"""Grasping from camera images: a Kuka iiwa arm over a tray, in the spirit of Quillen et al. 2018.

The agent sees a small image, moves the hand sideways and turns it, and the hand sinks by itself. At
the bottom the fingers close, the arm lifts, and the reward is 1 if something came along (Quillen,
Jang, Nachum, Finn, Ibarz and Levine: Deep Reinforcement Learning for Vision-Based Robotic
Grasping). The objects are tetrominoes (Golomb 1954) of five sizes and any color: I, O, L and J to
train with, S, T and Z held out.

Above the objects the arm is put where it is told; from there on it is simulated, fingers, friction
and all. The camera sees the hand alone, not the links that carry it, which would cost most of the
time.
"""

import colorsys
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, NamedTuple

import gymnasium
import numpy as np
from gymnasium.spaces import Box
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray

from common.info import IS_SUCCESS
from common.ranges import PositiveFraction, Range, check_ranges
from envs.robots.simulation import pybullet_client, quiet
from envs.vector import vectorized

TRAINING_SHAPES = (("####",), ("##", "##"), ("###", "#.."), ("###", "..#"))
HELD_OUT_SHAPES = ((".##", "##."), ("###", ".#."), ("##.", ".##"))
SIDES = (0.020, 0.022, 0.024, 0.026, 0.028)
"""Sides of a tetromino's squares; each shape comes in all sizes. Lengths are in metres, angles in
radians."""
SIDES_HIGH = 1.5
"""How high a tetromino stands, in sides."""

# The world's origin is the arm's foot; x points to the tray, z up.
TRAY = np.array([0.6, 0.0])
TRAY_HALF = 0.19
WALL_HALF = 0.02
FLOOR = 0.01
OBJECTS_HALF, HAND_HALF = 0.10, 0.12
"""How far from the tray's middle objects lie, and the hand can go, along x and y."""
START, BOTTOM, LIFTED = 0.17, 0.015, 0.16
"""Heights of the fingertips: at first, where they close, and at last."""
CLEAR = FLOOR + SIDES_HIGH * SIDES[-1] + 0.005
"""Fingertips above this height touch nothing."""
SIDEWAYS, TURN, DOWN = 0.035, 0.5, 0.02
"""The most that one step does."""
STEPS_DOWN = math.ceil((START - BOTTOM) / DOWN)

JOINTS = (*range(7), 7, 8, 11, 10, 13)
"""The arm's seven, the hand's own, both fingers' and both tips'."""
OPEN, CLOSED = (-0.25, 0.25, 0.0, 0.0), (0.0, 0.0, 0.0, 0.0)
"""Angles of the last four of them."""
CARRIERS = range(-1, 7)
"""The links from the foot to the wrist."""
NEAR, FAR = 0.4, 1.2
"""What the agent's camera sees is between these distances from it."""


@dataclass(frozen=True)
class KukaGraspConfig:
    """A Kuka arm that is to lift an object out of a tray, seen by a camera beside it.

    Observations are bytes (channels, size, size), actions (dx, dy, turn) in [-1, 1]: up to 3.5 cm
    and half a radian a step. The eighth step grasps, which ends the episode; the reward is 1 if an
    object is in the air then, else 0."""

    kind: ClassVar[str] = "grasping"

    size: Annotated[int, Range(16, 4_096)] = 64
    """Height and width of the image, in pixels."""
    depth: bool = False
    """A fourth channel beside red, green and blue: the distance from the camera, 0 at 40 cm and 255
    at 120 cm."""
    num_objects: Annotated[int, Range(1, 4)] = 1
    """Objects in the tray, 1 to 4; any of them counts."""
    held_out: bool = False
    """Objects of shapes that training never shows."""
    control_height: bool = False
    """A fourth action moves the hand up or down by up to 2 cm; else it sinks by 2 cm a step."""
    shaped: bool = False
    """Also rewards coming nearer, sideways, to an object by potential-based shaping (Ng et al.
    1999), which leaves the best policy as it is where `discount` is the learner's."""
    discount: PositiveFraction = 0.99
    """What the shaping takes for the learner's discount; change it with --algo.discount."""
    max_episode_steps: Annotated[int, Range(STEPS_DOWN, 2**31 - 1)] = 15
    """Steps after which an episode without a grasp is truncated; without height control the grasp
    comes before."""
    parallel: bool = False
    """Each arm in a process of its own."""

    def __post_init__(self) -> None:
        check_ranges(self)

    @property
    def name(self) -> str:
        return "KukaGrasp"

    @property
    def reference_scores(self) -> dict[str, float]:
        return {} if self.shaped else {"random": 0.1}  # the mean of 200 episodes

    @property
    def frame_stack(self) -> int:
        return 1

    def build(self) -> gymnasium.Env:
        return KukaGrasp(self)

    def build_vector(self, num_envs: int) -> VectorEnv:
        return vectorized(self.build, num_envs, self.parallel)


class Tetromino(NamedTuple):
    body: int
    height: float  # of its middle, when it lies
    reach: float  # from its middle to its farthest corner


class KukaGrasp(gymnasium.Env):
    """One arm in a simulation of its own. `hand` is where its fingertips should be: (x, y, z, yaw),
    float64."""

    metadata: ClassVar = {"render_modes": ["rgb_array"], "render_fps": 4}

    def __init__(self, config: KukaGraspConfig) -> None:
        self.config = config
        self.render_mode = "rgb_array"
        self.observation_space = Box(
            0, 255, (4 if config.depth else 3, config.size, config.size), np.uint8
        )
        self.action_space = Box(-1.0, 1.0, (4 if config.control_height else 3,), np.float32)
        self.hand = np.array([*TRAY, START, 0.0])
        self._client = client = pybullet_client()
        client.setGravity(0, 0, -9.81)
        # Half of Bullet's usual rate and iterations: grasps hold as well.
        client.setPhysicsEngineParameter(fixedTimeStep=1 / 120, numSolverIterations=20)
        with quiet():
            self._arm = client.loadSDF("kuka_iiwa/kuka_with_gripper2.sdf")[0]
        for joint in JOINTS[-4:]:
            client.changeDynamics(self._arm, joint, lateralFriction=1.0, spinningFriction=0.1)
        self._colors = [shape[7][:3] for shape in client.getVisualShapeData(self._arm)][
            : len(CARRIERS)
        ]
        self._show_carriers(0.0)
        make_table_and_tray(client)
        shapes = HELD_OUT_SHAPES if config.held_out else TRAINING_SHAPES
        self._pool = [make_tetromino(client, rows, side) for rows in shapes for side in SIDES]
        for tetromino in self._pool:
            self._put_away(tetromino)
        self._objects: list[Tetromino] = []
        self._view = client.computeViewMatrix([0.6, -0.42, 0.57], [0.6, 0.0, 0.06], [0, 0, 1])
        self._projection = client.computeProjectionMatrixFOV(34, 1.0, NEAR, FAR)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        super().reset(seed=seed)
        for tetromino in self._objects:
            self._put_away(tetromino)
        drawn = self.np_random.choice(len(self._pool), self.config.num_objects, replace=False)
        self._objects = [self._pool[i] for i in drawn]
        for tetromino, place in zip(self._objects, self._places(), strict=True):
            self._lay(tetromino, place)
        self.hand[:] = *TRAY, START, 0.0
        self._place_arm()
        self._clock = 0
        return self._observation(), {IS_SUCCESS: False}

    def step(self, action: Any):
        potential = self._potential()
        self._move(np.clip(action, -1.0, 1.0))
        self._clock += 1
        grasps = bool(self.hand[2] <= BOTTOM)
        if grasps:
            self._close_and_lift()
        success = grasps and self._holds_something()
        reward = float(success)
        if self.config.shaped:
            # The potential of an end is 0, or the shaping would change which policy is best.
            reward += self.config.discount * (0.0 if grasps else self._potential()) - potential
        truncated = not grasps and self._clock >= self.config.max_episode_steps
        return self._observation(), reward, grasps, truncated, {IS_SUCCESS: success}

    def render(self) -> NDArray[np.uint8]:
        """The whole arm and the tray, (240, 320, 3)."""
        view = self._client.computeViewMatrix([1.2, -0.8, 0.8], [0.4, 0.0, 0.3], [0, 0, 1])
        projection = self._client.computeProjectionMatrixFOV(50, 4 / 3, 0.1, 4.0)
        self._show_carriers(1.0)
        image, _ = self._photograph(320, 240, view, projection, shadow=1)
        self._show_carriers(0.0)
        return np.ascontiguousarray(image)

    def close(self) -> None:
        if self._client.isConnected():
            self._client.disconnect()

    def object_poses(self) -> NDArray[np.float64]:
        """Where the objects are, (num_objects, 4): x, y and z of their middles, and yaw."""
        poses = [
            self._client.getBasePositionAndOrientation(tetromino.body)
            for tetromino in self._objects
        ]
        return np.array(
            [[*at, self._client.getEulerFromQuaternion(turned)[2]] for at, turned in poses]
        )

    def _observation(self) -> NDArray[np.uint8]:
        size = self.config.size
        image, buffer = self._photograph(size, size, self._view, self._projection, shadow=0)
        channels = [*image.transpose(2, 0, 1)]
        if self.config.depth:
            distance = NEAR * FAR / (FAR - (FAR - NEAR) * buffer)
            channels.append((255 * (distance - NEAR) / (FAR - NEAR)).astype(np.uint8))
        return np.stack(channels)

    def _photograph(self, width: int, height: int, view: Any, projection: Any, shadow: int):
        """An image (height, width, 3), uint8, and OpenGL's depth buffer (height, width),
        float32."""
        renderer = self._client.ER_TINY_RENDERER
        flags = self._client.ER_NO_SEGMENTATION_MASK
        _, _, rgba, buffer, _ = self._client.getCameraImage(
            width, height, view, projection, shadow=shadow, renderer=renderer, flags=flags
        )
        return rgba[..., :3], buffer

    def _show_carriers(self, opacity: float) -> None:
        # What has no opacity takes no time to draw.
        for link, color in zip(CARRIERS, self._colors, strict=True):
            self._client.changeVisualShape(self._arm, link, rgbaColor=[*color, opacity])

    def _places(self) -> NDArray[np.float64]:
        """Where to lay the objects, (num_objects, 2), so that none touches another."""
        reach = np.array([tetromino.reach for tetromino in self._objects])
        pairs = np.triu_indices(len(reach), 1)
        while True:
            places = TRAY + self.np_random.uniform(-OBJECTS_HALF, OBJECTS_HALF, (len(reach), 2))
            distances = np.linalg.norm(places[:, None] - places, axis=2)
            if (distances > reach[:, None] + reach)[pairs].all():
                return places

    def _lay(self, tetromino: Tetromino, place: NDArray[np.float64]) -> None:
        yaw = self.np_random.uniform(-math.pi, math.pi)
        hue = self.np_random.random()
        turned = self._client.getQuaternionFromEuler([0, 0, yaw])
        self._client.changeDynamics(tetromino.body, -1, mass=0.1)
        self._client.resetBasePositionAndOrientation(
            tetromino.body, [*place, tetromino.height], turned
        )
        self._client.changeVisualShape(
            tetromino.body, -1, rgbaColor=[*colorsys.hsv_to_rgb(hue, 0.9, 0.8), 1.0]
        )

    def _put_away(self, tetromino: Tetromino) -> None:
        # Without mass it does not fall.
        self._client.changeDynamics(tetromino.body, -1, mass=0.0)
        self._client.resetBasePositionAndOrientation(
            tetromino.body, [-2.0, 0.2 * tetromino.body, 0.0], [0, 0, 0, 1]
        )
        self._client.changeVisualShape(tetromino.body, -1, rgbaColor=[0, 0, 0, 0])

    def _move(self, action: NDArray[np.floating]) -> None:
        up = action[3] if self.config.control_height else -1.0
        self.hand[:2] = np.clip(
            self.hand[:2] + SIDEWAYS * action[:2], TRAY - HAND_HALF, TRAY + HAND_HALF
        )
        self.hand[2] = np.clip(self.hand[2] + DOWN * up, BOTTOM, START)
        self.hand[3] = np.clip(self.hand[3] + TURN * action[2], -math.pi / 2, math.pi / 2)
        if self.hand[2] > CLEAR:
            self._place_arm()
        else:
            self._drive_arm(OPEN, 6)

    def _close_and_lift(self) -> None:
        self._drive_arm(CLOSED, 30)
        # In three pulls, since a single one tears the object out of the fingers.
        for height in np.linspace(BOTTOM, LIFTED, 4)[1:]:
            self.hand[2] = height
            self._drive_arm(CLOSED, 10)

    def _place_arm(self) -> None:
        """Moves the arm at once."""
        for joint, angle in zip(JOINTS, (*inverse_kinematics(*self.hand), *OPEN), strict=True):
            self._client.resetJointState(self._arm, joint, angle)

    def _drive_arm(self, fingers: Sequence[float], ticks: int) -> None:
        """Moves the arm by its motors, for so many 120ths of a second."""
        self._client.setJointMotorControlArray(
            self._arm,
            JOINTS,
            self._client.POSITION_CONTROL,
            (*inverse_kinematics(*self.hand), *fingers),
            forces=[300.0] * 8 + [5.0] * 4,
            positionGains=[0.3] * 12,
        )
        for _ in range(ticks):
            self._client.stepSimulation()

    def _holds_something(self) -> bool:
        resting = np.array([tetromino.height for tetromino in self._objects])
        return bool((self.object_poses()[:, 2] > resting + 0.05).any())

    def _potential(self) -> float:
        """Minus the distance to the nearest object, sideways, in units of 10 cm; 0 if nobody asks
        for it."""
        return -10.0 * float(distances_sideways(self).min()) if self.config.shaped else 0.0


def distances_sideways(arm: KukaGrasp) -> NDArray[np.float64]:
    """From the hand to each object, (num_objects,), height left out."""
    return np.linalg.norm(arm.object_poses()[:, :2] - arm.hand[:2], axis=1)


def inverse_kinematics(x: float, y: float, z: float, yaw: float) -> list[float]:
    """The first eight joints' angles that hold open fingertips about (x, y, z), pointing down and
    closing along `yaw`.

    In closed form: the arm stays in one upright plane, where shoulder, elbow and wrist are a
    triangle."""
    # The fingers sit 24 mm beside the wrist's axis.
    x = x + 0.024 * math.sin(yaw)
    y = y - 0.024 * math.cos(yaw)
    # From the shoulder, 36 cm up, to the wrist, 35.5 cm above the fingertips.
    reach = math.hypot(x, y)
    height = z + 0.355 - 0.36
    upper = 0.42
    lower = 0.40
    bend = math.acos((reach**2 + height**2 - upper**2 - lower**2) / (2 * upper * lower))
    shoulder = math.atan2(reach, height) - math.atan2(
        lower * math.sin(bend), upper + lower * math.cos(bend)
    )
    bearing = math.atan2(y, x)
    return [bearing, shoulder, 0.0, -bend, 0.0, math.pi - shoulder - bend, 0.0, bearing - yaw]


def make_tetromino(client: Any, rows: Sequence[str], side: float) -> Tetromino:
    """A body of one box a row, about the middle of its mass; its first row is at the lowest y."""
    squares = np.array(
        [(x, y) for y, row in enumerate(rows) for x, mark in enumerate(row) if mark == "#"]
    )
    middle = squares.mean(axis=0)
    half_height = side * SIDES_HIGH / 2
    centers = []
    halves = []
    for y in range(len(rows)):
        xs = squares[squares[:, 1] == y, 0]
        centers.append([side * (xs.mean() - middle[0]), side * (y - middle[1]), 0.0])
        halves.append([side * len(xs) / 2, side / 2, half_height])
    body = make_boxes(client, halves, centers)
    client.changeDynamics(body, -1, lateralFriction=1.0, spinningFriction=0.01)
    corner = np.linalg.norm(np.abs(squares - middle) + 0.5, axis=1).max()
    return Tetromino(body, FLOOR + half_height, side * float(corner))


def make_table_and_tray(client: Any) -> None:
    """Adds a table, whose top is 1 mm below z = 0, and a tray with a floor and four walls."""
    table = make_boxes(client, [[0.7, 0.6, 0.02]], [[0.35, 0.0, -0.021]])
    client.changeVisualShape(table, -1, rgbaColor=[0.55, 0.45, 0.35, 1])
    x, y = TRAY
    halves = [[TRAY_HALF, TRAY_HALF, FLOOR / 2]]
    centers = [[x, y, FLOOR / 2]]
    for side in (-TRAY_HALF, TRAY_HALF):
        halves += [[0.005, TRAY_HALF, WALL_HALF], [TRAY_HALF, 0.005, WALL_HALF]]
        centers += [[x + side, y, WALL_HALF], [x, y + side, WALL_HALF]]
    tray = make_boxes(client, halves, centers)
    client.changeVisualShape(tray, -1, rgbaColor=[0.85, 0.87, 0.9, 1])


def make_boxes(client: Any, halves: list[list[float]], centers: list[list[float]]) -> int:
    """A body without mass, of boxes that are given by half their extents (x, y, z)."""
    kinds = [client.GEOM_BOX] * len(halves)
    collision = client.createCollisionShapeArray(
        kinds, halfExtents=halves, collisionFramePositions=centers
    )
    visual = client.createVisualShapeArray(kinds, halfExtents=halves, visualFramePositions=centers)
    return client.createMultiBody(0.0, collision, visual)


def oracle_action(arm: KukaGrasp) -> NDArray[np.float32]:
    """Goes to the nearest object by its true pose, and turns the fingers across it: an upper bound,
    (3,) or (4,)."""
    x, y, _, yaw = arm.object_poses()[distances_sideways(arm).argmin()]
    # A quarter turn from its rows; of the two that are half a turn apart, the one that the hand can
    # reach.
    across = (yaw + math.pi / 2 + math.pi / 2) % math.pi - math.pi / 2
    return sinking(arm, [*((x, y) - arm.hand[:2]) / SIDEWAYS, (across - arm.hand[3]) / TURN])


def blind_action(arm: KukaGrasp, rng: np.random.Generator) -> NDArray[np.float32]:
    """Sinks while it moves sideways and turns at random: what every policy must beat, (3,) or
    (4,)."""
    return sinking(arm, rng.uniform(-1.0, 1.0, 3))


def sinking(
    arm: KukaGrasp, sideways_and_turn: Sequence[float] | NDArray[np.float64]
) -> NDArray[np.float32]:
    """The action, float32 (3,) or (4,), that moves like this while the hand sinks.

    Its numbers are clipped to [-1, 1]."""
    action = [*sideways_and_turn, -1.0] if arm.config.control_height else sideways_and_turn
    return np.clip(action, -1.0, 1.0).astype(np.float32)
