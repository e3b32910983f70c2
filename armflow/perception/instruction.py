"""Sentences into commands, and the finder of the objects that they name."""

import re
from dataclasses import dataclass

import numpy as np

from armflow.perception.detection import Detection
from armflow.perception.words import (
    COLOR_WORDS,
    CONTENTS,
    FILLERS,
    NEAR_COLORS,
    NOUNS,
    PLACE_WORDS,
    PREPOSITIONS,
    SIZE_WORDS,
    VERBS,
)
from armflow.robot.errors import StackError

__all__ = ["RELATIONS", "Command", "Found", "InstructionError", "Phrase", "find_object", "parse_instruction"]

RELATIONS = ("push", "place", "insert", "hang", "pour", "open")


class InstructionError(StackError):
    """A sentence that is not understood; names the words and those that are known."""

    def __init__(self, sentence: str, problem: str, known: tuple[str, ...]) -> None:
        self.sentence, self.problem, self.known = sentence, problem, known
        super().__init__(f"cannot follow {sentence!r}: {problem}; known words are {', '.join(known)}")


@dataclass(frozen=True, slots=True)
class Phrase:
    """What an object is called.

    Attributes:
        text: The words themselves.
        kinds: Kinds it may have, best first; none for any.
        color: Colour word, or "" for any.
        size: One of small, large, tall, short, long, wide, narrow, or "".
        place: One of left, right, near, far, middle as seen from the robot, or "".
    """

    text: str
    kinds: tuple[str, ...]
    color: str
    size: str
    place: str


@dataclass(frozen=True, slots=True)
class Command:
    """What shall be done.

    Attributes:
        relation: "push" (slide onto), "place" (put on), "insert" (into), "hang" (on), "pour" (contents into), "open".
        target: The object that moves.
        reference: What it is related to; None for "open".
    """

    relation: str
    target: Phrase
    reference: Phrase | None


@dataclass(frozen=True, slots=True)
class Found:
    """The object that a phrase names, or None; `answer` is one sentence for people in either case."""

    detection: Detection | None
    answer: str


def parse_instruction(text: str) -> Command:
    """Understand one sentence, such as "put the scarlet cube on the small green disc".

    Raises:
        InstructionError: No verb, no object, a missing goal, or a word that means nothing here.
    """
    words = re.findall(r"[a-z]+", text.lower())
    verb_at = next((i for i, w in enumerate(words) if w in VERBS), None)
    if verb_at is None:
        raise InstructionError(text, "no verb" + (f" among {' '.join(words)!r}" if words else ""), tuple(VERBS))
    verb, words = words[verb_at], words[verb_at + 1 :]
    later = next((w for w in words if w in VERBS and VERBS[w] not in ("place", "open") and w not in NOUNS), None)
    relation = VERBS[later] if VERBS[verb] == "place" and later else VERBS[verb]
    parts = _split([w for w in words if w not in VERBS or w in NOUNS])
    if relation == "open" or (relation == "push" and "open" in words):
        return Command("open", _phrase(text, _object_words(text, parts)), None)
    target, reference, preposition = _roles(text, parts, relation)
    first, second = _phrase(text, target), _phrase(text, reference)
    return Command(_relation(relation, preposition, second), first, second)


def _split(words: list[str]) -> list[tuple[str, list[str]]]:
    """Cut words at prepositions: (preposition class or "", words up to the next one)."""
    parts: list[tuple[str, list[str]]] = [("", [])]
    for index, word in enumerate(words):
        opens_side = word in ("on", "to", "at") and _is_side(words[index + 1 : index + 4])
        if word in PREPOSITIONS and not opens_side:
            parts.append((PREPOSITIONS[word], []))
        elif not opens_side:
            parts[-1][1].append(word)
    return [(preposition, group) for preposition, group in parts if preposition == "" or _meaning(group)]


def _is_side(words: list[str]) -> bool:
    """True for "the left" where no noun follows: it tells which object, not where to."""
    place = next((i for i, word in enumerate(words[:2]) if word in ("left", "right")), None)
    return place is not None and all(w in PREPOSITIONS or w in FILLERS for w in words[place + 1 : place + 2])


def _meaning(words: list[str]) -> list[str]:
    """The words that say something."""
    return [w for w in words if w not in FILLERS]


def _object_words(sentence: str, parts: list[tuple[str, list[str]]]) -> list[str]:
    """The first group that names something."""
    group = next((words for preposition, words in parts if preposition != "with" and _meaning(words)), None)
    if group is None:
        raise InstructionError(sentence, "no object", tuple(NOUNS))
    return group


def _roles(sentence: str, parts: list[tuple[str, list[str]]], relation: str) -> tuple[list[str], list[str], str]:
    """Words of the target, words of the reference, and the preposition between them."""
    goals = [(p, words) for p, words in parts if p in ("on", "in", "to")]
    target = _object_words(sentence, parts[:1] + [p for p in parts[1:] if p[0] == "from"] or parts)
    if relation == "pour" and set(target) & set(CONTENTS):
        source = next((w for p, w in parts if p == "from"), None)
        if source is None and len(goals) > 1:
            source = goals.pop(0)[1]
        if source is None:
            raise InstructionError(sentence, f"no vessel that {' '.join(_meaning(target))!r} come from", ("from", "in"))
        target = source
    if not goals:
        known = tuple(w for w, p in PREPOSITIONS.items() if p in ("on", "in", "to"))
        raise InstructionError(sentence, f"no place for the {' '.join(_meaning(target))}", known)
    return target, goals[-1][1], goals[-1][0]


def _relation(relation: str, preposition: str, reference: Phrase) -> str:
    """Let preposition and reference settle what a general verb such as "put" means."""
    if relation in ("push", "pour", "hang", "insert"):
        return relation
    if "rack" in reference.kinds:
        return "hang"
    vessel = bool(reference.kinds) and reference.kinds[0] in ("holder", "cup", "mug")
    return "insert" if vessel or (preposition == "in" and "disc" not in reference.kinds) else "place"


def _phrase(sentence: str, words: list[str]) -> Phrase:
    """Read one noun phrase.

    Raises:
        InstructionError: A word that is no colour, size, place or noun, or no noun at all.
    """
    words = _meaning(words)
    color = next((COLOR_WORDS[w] for w in words if w in COLOR_WORDS), "")
    size = next((SIZE_WORDS[w] for w in words if w in SIZE_WORDS), "")
    place = next((PLACE_WORDS[w] for w in words if w in PLACE_WORDS), "")
    rest = [w for w in words if w not in COLOR_WORDS and w not in SIZE_WORDS and w not in PLACE_WORDS]
    noun = " ".join(rest)
    if noun not in NOUNS and noun.endswith("s") and noun[:-1] in NOUNS:
        noun = noun[:-1]
    if noun not in NOUNS and not (noun == "" and (color or size)):
        raise InstructionError(sentence, f"{noun or 'an empty phrase'!r} is no object that I know", tuple(NOUNS))
    return Phrase(" ".join(words), NOUNS.get(noun, ()), color, size, place)


def find_object(detections: tuple[Detection, ...], phrase: Phrase) -> Found:
    """Choose the one detection that a phrase names.

    Kind and colour are tried exactly first; then kinds of the same family (a pot may have been taken for a cup), then
    neighbouring colours, then things of unknown kind with the right colour. Size and place decide between equals.
    """
    kinds, any_kind = set(phrase.kinds), not phrase.kinds
    exact = [d for d in detections if any_kind or d.kind == phrase.kinds[0]]
    family = [d for d in detections if any_kind or d.kind in kinds]
    strange = [d for d in detections if d.kind == "unknown"] if phrase.color else []
    near = NEAR_COLORS.get(phrase.color, ())
    pools = [[d for d in pool if phrase.color in ("", d.color)] for pool in (exact, family)]
    pools += [[d for d in pool if d.color in near] for pool in (exact, family)]
    pools.append([d for d in strange if d.color == phrase.color])
    candidates = _decide(next((pool for pool in pools if pool), []), phrase)
    if len(candidates) == 1:
        return Found(candidates[0], f"found {candidates[0].state.name}")
    if not candidates:
        seen = ", ".join(d.state.name for d in detections) or "nothing at all"
        return Found(None, f"no such object: {phrase.text}; I see {seen}")
    count = {2: "two", 3: "three", 4: "four"}.get(len(candidates), str(len(candidates)))
    return Found(None, f"{count} such objects: {phrase.text} could be {', '.join(_whereabouts(d) for d in candidates)}")


def _whereabouts(detection: Detection) -> str:
    """Name and place of a detection."""
    x, y, _ = detection.T_world_object.translation
    return f"the {detection.state.name} at x = {x:.2f} m, y = {y:.2f} m"


def _decide(candidates: list[Detection], phrase: Phrase) -> list[Detection]:
    """Let size and place words choose among several."""
    for word in (phrase.size, phrase.place):
        if word and len(candidates) > 1:
            values = np.array([_measure(d, word) for d in candidates])
            if np.ptp(values) > 1e-3 * abs(values).max():
                candidates = [candidates[int(np.argmax(values))]]
    return candidates


def _measure(detection: Detection, word: str) -> float:
    """How well a size or place word fits, larger is better."""
    size, position = detection.size, detection.T_world_object.translation
    middle = detection.state.points_world.mean(0)
    return {
        "small": -float(size.prod()),
        "large": float(size.prod()),
        "tall": float(size[2]),
        "short": -float(size[2]),
        "long": float(size.max()),
        "wide": float(max(size[:2])),
        "narrow": -float(max(size[:2])),
        "left": float(middle[1]),
        "right": -float(middle[1]),
        "near": -float(np.linalg.norm(position[:2])),
        "far": float(np.linalg.norm(position[:2])),
        "middle": -abs(float(middle[1])),
    }[word]
