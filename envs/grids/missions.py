"""What agents in grids are told to do, in the English of BabyAI (Chevalier-Boisvert et al. 2019,
section 3.2) and in Chinese; and what can be told of what they did."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

COLORS = ("red", "green", "blue", "purple", "yellow", "grey")
KINDS = ("ball", "box", "key", "door")
PORTABLE = ("ball", "box", "key")
NOTHING = "there is nothing in front of you"

PLACES = "|".join((" in front of you", " behind you", " on your left", " on your right"))
THING = rf"(a|the)(?: ({'|'.join(COLORS)}))? ({'|'.join(KINDS)}|object)({PLACES})?"
ORDERS = {
    "go": re.compile(f"go to {THING}"),
    "pick": re.compile(f"pick up {THING}"),
    "open": re.compile(f"open {THING}"),
    "put": re.compile(f"put {THING} next to {THING}"),
}
DEEDS = {
    "go": re.compile(f"you are in front of {THING}"),
    "pick": re.compile(f"you have picked up {THING}"),
    "open": re.compile(f"you have opened {THING}"),
    "put": re.compile(f"you have put {THING} next to {THING}"),
}
JOINED = {", then ": "{0}，然后{1}", " after you ": "{1}，然后{0}", " and ": "{0}，并且{1}"}
"""What may stand between orders; what comes first here joins what comes later."""

CHINESE_COLORS = {
    "red": "红",
    "green": "绿",
    "blue": "蓝",
    "purple": "紫",
    "yellow": "黄",
    "grey": "灰",
}
CHINESE_KINDS = {
    "ball": ("个", "球", "小球", "皮球"),
    "box": ("个", "箱子", "盒子", "小箱子"),
    "key": ("把", "钥匙", "钥匙", "小钥匙"),
    "door": ("扇", "门", "房门", "门"),
    "object": ("个", "东西", "物品", "物件"),
}
"""The measure word, then the noun as templates have it, then what else it is called."""
CHINESE_PLACES = {
    "": "",
    " in front of you": "你前面的",
    " behind you": "你后面的",
    " on your left": "你左边的",
    " on your right": "你右边的",
}
WORDINGS = {
    "go": (
        "走到{0}那里",
        "去{0}那儿",
        "请走到{0}旁边",
        "去找{0}",
        "到{0}跟前去",
        "麻烦你去{0}那边",
        "你能走到{0}那里吗？",
        "我要你去{0}那里",
    ),
    "pick": (
        "捡起{0}",
        "把{0}捡起来",
        "请拿起{0}",
        "去拿{0}",
        "麻烦你把{0}拿起来",
        "你能捡起{0}吗？",
        "我要{0}，去拿吧",
    ),
    "open": ("打开{0}", "把{0}打开", "请打开{0}", "麻烦你开一下{0}", "你能打开{0}吗？"),
    "put": (
        "把{0}放到{1}旁边",
        "请把{0}放在{1}的旁边",
        "拿{0}去放在{1}边上",
        "麻烦你把{0}挪到{1}旁边",
        "你能把{0}放到{1}旁边吗？",
    ),
}
"""The template, then how else people say it."""


@dataclass(frozen=True)
class Thing:
    article: str
    color: str
    """Empty where any will do."""
    kind: str
    place: str = ""
    """Where it was, seen from the agent, when the episode began; with a space before it."""

    def is_meant_by(self, other: "Thing") -> bool:
        """Whether this one, which is there, is of those that the other one names."""
        return other.color in ("", self.color) and other.kind in ("object", self.kind)


def missions() -> list[str]:
    """All orders of one thing with a color, or of two in which both have one."""
    one = [
        f"{article} {color} {kind}" for article, color, kind in product(("a", "the"), COLORS, KINDS)
    ]
    portable = [name for name in one if not name.endswith("door")]
    return [
        *(f"go to {name}" for name in one),
        *(f"pick up {name}" for name in portable),
        *(f"open {name}" for name in one if name.endswith("door")),
        *(
            f"put {x} next to {y}"
            for x, y in product(portable, repeat=2)
            if x.partition(" ")[2] != y.partition(" ")[2]
        ),
    ]


def in_chinese(mission: str, random: np.random.Generator | None = None) -> str:
    """The same mission, as the templates have it or, with `random`, as somebody might say it.

    Raises ValueError for a sentence that is none of BabyAI's."""
    for word, joined in JOINED.items():
        before, found, after = mission.partition(word)
        if found:
            return joined.format(in_chinese(before, random), in_chinese(after, random)).replace(
                "？，", "，"
            )
    kind, things = understood(mission, ORDERS)
    wordings = WORDINGS[kind]
    wording = wordings[0] if random is None else wordings[random.integers(len(wordings))]
    return wording.format(*(chinese_thing(thing, random) for thing in things))


def chinese_thing(thing: Thing, random: np.random.Generator | None) -> str:
    """A thing in Chinese, as the templates have it or, with `random`, in words that it draws."""
    choose: Callable[..., Any] = (
        (lambda *all: all[0]) if random is None else lambda *all: all[random.integers(len(all))]
    )
    measure, *nouns = CHINESE_KINDS[thing.kind]
    noun = choose(*nouns)
    article = choose("一", "某一", "随便一") if thing.article == "a" else choose("那", "这")
    color = CHINESE_COLORS[thing.color] + choose("色的", "的", "色") if thing.color else ""
    return f"{CHINESE_PLACES[thing.place]}{article}{measure}{color}{noun}"


def captions() -> list[str]:
    """All that can be told of a step with things that have a color; but a thing may be put next to
    several, which are then joined by and."""
    things = [f"the {color} {kind}" for color, kind in product(COLORS, KINDS)]
    portable = [name for name in things if not name.endswith("door")]
    return [
        NOTHING,
        *(f"you are in front of {name}" for name in things),
        *(f"you have picked up {name}" for name in portable),
        *(f"you have opened {name}" for name in things if name.endswith("door")),
        *(f"you have put {x} next to {y}" for x, y in product(portable, repeat=2)),
    ]


def fulfils(caption: str, mission: str) -> bool:
    """Whether what is told is what was ordered, by one order without places.

    Raises ValueError where it cannot be told from the two sentences."""
    order, wanted = understood(mission, ORDERS)
    if any(thing.place for thing in wanted):
        raise ValueError(f"Where a thing was cannot be told of '{caption}': '{mission}'.")
    if caption == NOTHING:
        return False
    first, *others = caption.split(" and ")
    # A thing that was put next to several: the second and further ones are told by name alone.
    beside = [first.partition(" next to ")[0] + f" next to {other}" for other in others]
    for deed, done in (understood(told, DEEDS) for told in (first, *beside)):
        if deed == order and all(
            one.is_meant_by(other) for one, other in zip(done, wanted, strict=True)
        ):
            return True
    return False


def understood(sentence: str, patterns: dict[str, re.Pattern[str]]) -> tuple[str, list[Thing]]:
    """The key of the pattern that a whole sentence matches, and the things that the sentence names.

    Raises ValueError for a sentence that no pattern matches."""
    for kind, pattern in patterns.items():
        if match := pattern.fullmatch(sentence):
            words = [word or "" for word in match.groups()]
            return kind, [Thing(*words[start : start + 4]) for start in range(0, len(words), 4)]
    raise ValueError(f"'{sentence}' is none of BabyAI's sentences.")
