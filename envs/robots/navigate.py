"""Path planning: a wheeled robot drives to a goal through obstacles that it knows by its sensors
alone.

The robot is Clearpath's Husky. Its body and its obstacles are PyBullet's, which finds collisions,
casts the range sensor's rays and draws; its motion is a unicycle's with Husky's limits on speed and
acceleration. Simulated wheels are not worth their price: Husky turns by skidding, and on PyBullet's
contacts, as they come, it turns at a third of the rate that its wheels ask for and wanders
meanwhile, while 0.2 s of it take 2 to 5 ms, several whole steps here.

The reward is the way won, along the shortest ways around the obstacles (as potential-based shaping,
Ng et al. 1999, but undiscounted, and nothing is given back at a collision): progress in a straight
line would lead into dead ends, and the policy need not see the map for it. A collision ends the
episode, so success means that nothing was touched. On 300 held-out maps, following A*'s path
reached every goal, driving straight at the goal half of them; of 500, a random policy reached none.
"""

import math
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray

from common.info import EPISODE_METRICS, IS_SUCCESS
from common.ranges import Range, check_ranges
from envs.robots import maps
from envs.robots.maps import ARENA, SHAPES, Map, Shape
from envs.robots.simulation import pybullet_client, quiet
from envs.vector import vectorized

SECONDS_PER_STEP = 0.2
SUBSTEPS = 4
# m/s, m/s², rad/s, rad/s²: the speed that Husky is built for, and Clearpath's limits
# (husky_control, control.yaml).
MAX_SPEED = 1.0
MAX_ACCELERATION = 3.0
MAX_TURN = 2.0
MAX_TURN_ACCELERATION = 6.0

NUM_RAYS = 36
RANGE = 5.0
LIDAR_HEIGHT = 0.3
CAMERA_HEIGHT = 48
CAMERA_WIDTH = 64
OBSTACLE_HEIGHT = 0.6
FILM_SIZE = 384
GOAL_RADIUS = 0.5
"""The goal is reached when the robot's middle is as near as this, in metres."""

REWARD_PER_METRE = 1.0
REWARD_SUCCESS = 5.0
REWARD_COLLISION = -5.0
REWARD_STEP = -0.02

MAX_OBSTACLES = 16  # more leave few places that are far apart and have a way between them
# Bullet's collision group of bodies without mass, which rays are to hit; the robot is in another
STATIC = 2


@dataclass(frozen=True)
class NavigateConfig:
    """Drive to a goal through obstacles on a map never seen before.

    The vector of sensors, float32 (43,) in [-1, 1]: 36 ranges up to 5 m, anticlockwise from
    straight ahead; the goal's distance, cosine and sine of its bearing; speed and turn rate; the
    last action. With a camera, the observation is a dictionary of `camera`, uint8 RGB (3, 48, 64),
    and `sensors`. The action, float32 (2,) in [-1, 1]: speed, where 1 is 1 m/s forwards, and turn
    rate, where 1 is 2 rad/s anticlockwise, for 0.2 s.

    Reaching the goal and colliding terminate an episode. Every step's info has `is_success`,
    `path_length` (driven) and `shortest_path` (by A*, up to where the goal counts as reached), in
    metres; that of a success also how much longer the way was, as `path_over_shortest` of its
    `episode_metrics`.
    """

    kind: ClassVar[str] = "navigation"

    camera: bool = False
    """Observe a camera's image besides: about 0.7 ms a step more, where a step takes 0.35 ms
    without."""
    num_obstacles: Annotated[int, Range(0, MAX_OBSTACLES)] = 8
    """Pillars, crates and walls on a map of 10 m x 10 m, from 0 to 16."""
    held_out: bool = False
    """Draw the maps that are kept for evaluation: training never meets them."""
    max_episode_steps: Annotated[int, Range(1, 2**31 - 1)] = 200
    """Steps of 0.2 s after which an episode is truncated."""
    parallel: bool = False
    """Each robot in a process of its own."""

    def __post_init__(self) -> None:
        check_ranges(self)

    @property
    def name(self) -> str:
        return "Navigate"

    @property
    def reference_scores(self) -> dict[str, float]:
        return {"random": -5.5}  # mean of 500 held-out episodes, by the values above

    @property
    def frame_stack(self) -> int:
        return 1

    def build(self) -> gymnasium.Env:
        return NavigateEnv(self)

    def build_vector(self, num_envs: int) -> VectorEnv:
        return vectorized(self.build, num_envs, self.parallel)


class NavigateEnv(gymnasium.Env):
    """The environment that NavigateConfig describes; `map` and `pose` (x, y, heading) are for
    planners and tests."""

    metadata: ClassVar = {"render_modes": ["rgb_array"], "render_fps": round(1 / SECONDS_PER_STEP)}
    action_space = spaces.Box(-1.0, 1.0, (2,), np.float32)

    def __init__(self, config: NavigateConfig) -> None:
        self.config = config
        self.render_mode = "rgb_array"
        self.observation_space = spaces.Box(-1.0, 1.0, (NUM_RAYS + 7,), np.float32)
        if config.camera:
            image = spaces.Box(0, 255, (3, CAMERA_HEIGHT, CAMERA_WIDTH), np.uint8)
            self.observation_space = spaces.Dict(
                {"camera": image, "sensors": self.observation_space}
            )
        self._client: Any = pybullet_client()
        self._robot = load_husky(self._client, self._client.URDF_IGNORE_VISUAL_SHAPES)
        self._bodies, self._goal_marker = build_arena(self._client)
        self._husky_to_look_at: int | None = None
        self._rays = np.zeros((NUM_RAYS, 3))

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        super().reset(seed=seed)
        # Even seeds are maps to train on, odd ones are held out.
        map_seed = 2 * int(self.np_random.integers(2**31)) + self.config.held_out
        self.load(maps.draw_map(map_seed, self.config.num_obstacles))
        return self._observation(), self._info(success=False)

    def load(self, map: Map) -> None:
        """Starts an episode on this map."""
        self.map = map
        self.pose = tuple(map.start.tolist())
        self.speed = 0.0
        self.turn = 0.0
        self.driven = 0.0
        self.clock = 0
        self.action = np.zeros(2)
        self.trail = [self.pose[:2]]
        self._shortest = max(maps.path_length(map.path) - GOAL_RADIUS, 0.0)
        self._to_go = maps.interpolate(map.distance, *self.pose[:2])
        poses = dict(zip(map.shapes.tolist(), map.poses.tolist(), strict=True))
        for shape, body in enumerate(self._bodies):
            # Obstacles of other maps wait far below the floor.
            x, y, heading = poses.get(shape, (0.0, 0.0, 0.0))
            place(
                self._client, body, x, y, heading, OBSTACLE_HEIGHT / 2 if shape in poses else -100.0
            )
        place(self._client, self._goal_marker, *map.goal.tolist(), heading=0.0)
        place(self._client, self._robot, *self.pose)
        self._client.performCollisionDetection()

    def step(self, action: Any):
        self.clock += 1
        self.action = np.clip(np.asarray(action, np.float64), -1.0, 1.0)
        collided = self._drive()
        self.trail.append(self.pose[:2])
        success = not collided and math.dist(self.pose[:2], self.map.goal) <= GOAL_RADIUS
        before = self._to_go
        self._to_go = maps.interpolate(self.map.distance, *self.pose[:2])
        reward = REWARD_STEP + REWARD_PER_METRE * (before - self._to_go)
        reward += REWARD_SUCCESS * success + REWARD_COLLISION * collided
        ended = success or collided
        truncated = not ended and self.clock >= self.config.max_episode_steps
        info = self._info(success)
        if success:
            info[EPISODE_METRICS] = {
                # The shortest way may be 0 on a map that has its goal near the start.
                "path_over_shortest": self.driven / max(self._shortest, GOAL_RADIUS)
            }
        return self._observation(), reward, ended, truncated, info

    def _drive(self) -> bool:
        """Moves for a step, or until the robot touches something, which is the answer."""
        target_speed = MAX_SPEED * float(self.action[0])
        target_turn = MAX_TURN * float(self.action[1])
        seconds = SECONDS_PER_STEP / SUBSTEPS
        for _ in range(SUBSTEPS):
            self.speed = approach(self.speed, target_speed, MAX_ACCELERATION * seconds)
            self.turn = approach(self.turn, target_turn, MAX_TURN_ACCELERATION * seconds)
            x, y, heading = self.pose
            midway = heading + self.turn * seconds / 2
            way = self.speed * seconds
            x = x + way * math.cos(midway)
            y = y + way * math.sin(midway)
            self.pose = (x, y, math.remainder(heading + self.turn * seconds, math.tau))
            self.driven += abs(way)
            place(self._client, self._robot, *self.pose)
            self._client.performCollisionDetection()
            # A contact's ninth number is the distance in metres; Bullet lists what is merely near,
            # too.
            if any(contact[8] <= 0.0 for contact in self._client.getContactPoints(self._robot)):
                return True
        return False

    def _observation(self) -> Any:
        x, y, heading = self.pose
        goal_x, goal_y = self.map.goal
        bearing = math.atan2(goal_y - y, goal_x - x) - heading
        sensors = np.empty(NUM_RAYS + 7, np.float32)
        sensors[:NUM_RAYS] = self._ranges()
        sensors[NUM_RAYS:] = (
            min(math.hypot(goal_x - x, goal_y - y) / (ARENA * math.sqrt(2)), 1.0),
            math.cos(bearing),
            math.sin(bearing),
            self.speed / MAX_SPEED,
            self.turn / MAX_TURN,
            *self.action,
        )
        return {"camera": self._photograph(), "sensors": sensors} if self.config.camera else sensors

    def _ranges(self) -> list[float]:
        """From the robot's middle to what each ray hits, as a fraction of RANGE; 1 where there is
        nothing."""
        x, y, heading = self.pose
        angles = heading + ANGLES
        self._rays[:, 0] = x + RANGE * np.cos(angles)
        self._rays[:, 1] = y + RANGE * np.sin(angles)
        self._rays[:, 2] = LIDAR_HEIGHT
        hits = self._client.rayTestBatch(
            [(x, y, LIDAR_HEIGHT)] * NUM_RAYS,
            self._rays.tolist(),
            numThreads=1,
            collisionFilterMask=STATIC,
        )
        return [hit[2] for hit in hits]

    def _photograph(self) -> NDArray[np.uint8]:
        """What the camera above the front bumper sees, RGB (3, CAMERA_HEIGHT, CAMERA_WIDTH)."""
        x, y, heading = self.pose
        ahead = np.array([math.cos(heading), math.sin(heading)])
        eye, target = (np.array([x, y]) + ahead * reach for reach in (0.52, 1.52))
        view = self._client.computeViewMatrix((*eye, 0.5), (*target, 0.4), (0, 0, 1))
        projection = self._client.computeProjectionMatrixFOV(
            75, CAMERA_WIDTH / CAMERA_HEIGHT, 0.02, 15
        )
        image = picture(self._client, CAMERA_WIDTH, CAMERA_HEIGHT, view, projection)
        return np.ascontiguousarray(image.transpose(2, 0, 1))

    def _info(self, success: bool) -> dict[str, Any]:
        return {IS_SUCCESS: success, "path_length": self.driven, "shortest_path": self._shortest}

    def render(self) -> NDArray[np.uint8]:
        """The arena from above, (FILM_SIZE, FILM_SIZE, 3): goal green, shortest path white, way
        driven orange."""
        client = self._client
        if self._husky_to_look_at is None:
            # Husky's fine meshes make every image some ms dearer, the camera's, too: only who makes
            # films pays.
            self._husky_to_look_at = load_husky(client, client.URDF_IGNORE_COLLISION_SHAPES)
        place(client, self._husky_to_look_at, *self.pose)
        view = client.computeViewMatrix((0, -0.55 * ARENA, 1.25 * ARENA), (0, -0.2, 0), (0, 1, 0))
        projection = client.computeProjectionMatrixFOV(45, 1.0, 0.1, 3 * ARENA)
        frame = picture(client, FILM_SIZE, FILM_SIZE, view, projection)
        camera = np.reshape(projection, (4, 4)).T @ np.reshape(view, (4, 4)).T
        draw_line(frame, camera, self.map.path, (255, 255, 255))
        draw_line(frame, camera, np.array(self.trail), (255, 140, 0))
        return frame

    def close(self) -> None:
        if self._client.isConnected():
            self._client.disconnect()


ANGLES = np.arange(NUM_RAYS) * (math.tau / NUM_RAYS)


def approach(value: float, target: float, most: float) -> float:
    """One step from value towards target, of at most this size."""
    return value + min(max(target - value, -most), most)


def place(client: Any, body: int, x: float, y: float, heading: float, height: float = 0.0) -> None:
    """Puts a body at (x, y, height), in metres, upright, turned to `heading`, in radians."""
    quaternion = (0.0, 0.0, math.sin(heading / 2), math.cos(heading / 2))
    client.resetBasePositionAndOrientation(body, (x, y, height), quaternion)


def load_husky(client: Any, flags: int) -> int:
    """Adds a Husky with a fixed base, which only `place` moves, and returns its id.

    `flags` are Bullet's; they leave out the shapes to look at or those that collide."""
    with quiet():
        return client.loadURDF(
            "husky/husky.urdf", useFixedBase=True, flags=flags | client.URDF_USE_IMPLICIT_CYLINDER
        )


def build_arena(client: Any) -> tuple[list[int], int]:
    """A floor, four walls, every obstacle of SHAPES and the goal's mark; the ids of the obstacles
    and of the mark."""
    half = ARENA / 2
    thickness = 0.1
    floor = add_body(client, Shape(half, half, 0.0), 0.01, (0.6, 0.6, 0.6), solid=False)
    place(client, floor, 0.0, 0.0, 0.0, -0.01)
    for side in range(4):
        along = side * math.pi / 2
        wall = add_body(
            client,
            Shape(half + 2 * thickness, thickness, 0.0),
            OBSTACLE_HEIGHT / 2,
            (0.35, 0.4, 0.5),
        )
        x = -(half + thickness) * math.sin(along)
        y = (half + thickness) * math.cos(along)
        place(client, wall, x, y, along, OBSTACLE_HEIGHT / 2)
    colors = {True: (0.2, 0.4, 0.8), False: (0.75, 0.3, 0.25)}
    bodies = [
        add_body(client, shape, OBSTACLE_HEIGHT / 2, colors[shape.radius > 0]) for shape in SHAPES
    ]
    return bodies, add_body(
        client, Shape(0.0, 0.0, GOAL_RADIUS), 0.02, (0.1, 0.8, 0.2), solid=False
    )


def add_body(
    client: Any,
    shape: Shape,
    half_height: float,
    color: tuple[float, float, float],
    solid: bool = True,
) -> int:
    """A body at the origin that nothing moves by itself; if not solid, only to look at. Its id."""
    if shape.radius:
        kind = client.GEOM_CYLINDER
        collision = {"radius": shape.radius, "height": 2 * half_height}
        visual = {"radius": shape.radius, "length": 2 * half_height}
    else:
        kind = client.GEOM_BOX
        collision = visual = {"halfExtents": (shape.half_length, shape.half_width, half_height)}
    return client.createMultiBody(
        baseMass=0.0,
        baseCollisionShapeIndex=client.createCollisionShape(kind, **collision) if solid else -1,
        baseVisualShapeIndex=client.createVisualShape(kind, **visual, rgbaColor=(*color, 1.0)),
    )


def picture(client: Any, width: int, height: int, view: Any, projection: Any) -> NDArray[np.uint8]:
    """What PyBullet's own renderer draws, RGB (height, width, 3)."""
    pixels = client.getCameraImage(
        width, height, view, projection, shadow=0, renderer=client.ER_TINY_RENDERER,
        flags=client.ER_NO_SEGMENTATION_MASK,
    )[2]  # fmt: skip
    return np.asarray(pixels, np.uint8).reshape(height, width, 4)[:, :, :3].copy()


def draw_line(
    frame: NDArray[np.uint8], camera: NDArray, corners: NDArray, color: tuple[int, int, int]
) -> None:
    """Draws a line over the floor through corners (k, 2); `camera` (4, 4) is projection times
    view."""
    length = np.r_[0.0, np.linalg.norm(np.diff(corners, axis=0), axis=1).cumsum()]
    along = np.arange(0.0, length[-1] + 1e-9, 0.02)
    x, y = (np.interp(along, length, corners[:, axis]) for axis in (0, 1))
    seen = camera @ np.stack([x, y, np.full_like(x, 0.02), np.ones_like(x)])
    columns, rows = (
        (seen[:2] / seen[3] * [[1], [-1]] + 1) / 2 * [[frame.shape[1]], [frame.shape[0]]]
    ).astype(int)
    for row, column in ((0, 0), (0, 1), (1, 0), (1, 1)):
        frame[
            np.clip(rows + row, 0, len(frame) - 1), np.clip(columns + column, 0, frame.shape[1] - 1)
        ] = color


LOOK_AHEAD = 0.6


def astar_action(env: gymnasium.Env) -> NDArray[np.float32]:
    """What a planner that knows the map does: pure pursuit (Coulter 1992) of the A* path, turning
    on the spot first.

    The action, float32 (2,), for the state that a NavigateEnv, wrapped or not, is in; the baseline
    to compare with."""
    robot = env.unwrapped
    assert isinstance(robot, NavigateEnv)
    x, y, heading = robot.pose
    target_x, target_y = maps.ahead_on(robot.map.path, (x, y), LOOK_AHEAD)
    turn = math.remainder(math.atan2(target_y - y, target_x - x) - heading, math.tau)
    # Half the turn that would point straight there in a step: the whole would swing past, since
    # speed takes time.
    rate = 0.5 * turn / (SECONDS_PER_STEP * MAX_TURN)
    return np.clip([max(0.0, 1.0 - 2.0 * abs(turn)), rate], -1.0, 1.0).astype(np.float32)
