"""Sentences: what they ask for, what is refused with which words, and which detection they name."""

import numpy as np
import pytest
from scipy.spatial.transform import RigidTransform

from armflow.perception.detection import Detection
from armflow.perception.instruction import RELATIONS, InstructionError, find_object, parse_instruction
from armflow.perception.particles import ObjectState


def thing(
    name: str, x: float = 0.5, y: float = 0.0, size: tuple[float, float, float] = (0.04, 0.04, 0.04)
) -> Detection:
    color, kind = name.split()
    points = np.array([[x, y, 0.02]])
    return Detection(
        ObjectState(name, points, np.zeros((1, 3)), 0.0), np.zeros((2, 2), bool), np.zeros((1, 3)), color, kind,
        RigidTransform.from_translation([x, y, 0.02]), np.array(size), 1.0,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "relation", "target", "reference"),
    [
        ("push the red block onto the green disc", "push", ("block", "red"), ("disc", "green")),
        ("Shove the crimson cube to the emerald disk!", "push", ("block", "red"), ("disc", "green")),
        ("put the red block on the green disc", "place", ("block", "red"), ("disc", "green")),
        ("pick up the navy box and place it on the purple coaster", "place", ("block", "blue"), ("disc", "purple")),
        ("insert the blue pen into the orange holder", "insert", ("pen", "blue"), ("holder", "orange")),
        ("stand the blue pencil in the orange pot", "insert", ("pen", "blue"), ("holder", "orange")),
        ("hang the yellow mug on the brown rack", "hang", ("mug", "yellow"), ("rack", "brown")),
        ("place the blue mug on the cyan peg", "hang", ("mug", "blue"), ("rack", "cyan")),
        ("pour the red cup into the blue cup", "pour", ("cup", "red"), ("cup", "blue")),
        ("pour the beads from the red cup into the blue bowl", "pour", ("cup", "red"), ("cup", "blue")),
    ],
)
def test_parse_understands_synonyms(text: str, relation: str, target: tuple, reference: tuple) -> None:
    command = parse_instruction(text)
    assert command.relation == relation
    assert command.relation in RELATIONS
    assert (command.target.kinds[0], command.target.color) == target
    assert command.reference is not None
    assert (command.reference.kinds[0], command.reference.color) == reference


@pytest.mark.parametrize(
    "text", ["open the white drawer", "pull the white drawer open", "slide the white cabinet open"]
)
def test_open_needs_no_place(text: str) -> None:
    command = parse_instruction(text)
    assert (command.relation, command.target.kinds, command.reference) == ("open", ("drawer",), None)


def test_size_and_side_words_are_read() -> None:
    command = parse_instruction("put the smallest block on the left green disc")
    assert command.target.size == "small"
    assert command.reference is not None
    assert command.reference.place == "left"


def test_a_side_may_follow_its_object() -> None:
    command = parse_instruction("put the block on the left on the green disc")
    assert (command.target.place, command.relation) == ("left", "place")
    assert command.reference is not None
    assert command.reference.color == "green"


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("dance with the block", "no verb"),
        ("", "no verb"),
        ("push the", "no object"),
        ("put the red block", "no place for the red block"),
        ("put the unicorn on the disc", "'unicorn'"),
        ("push the red block to the zebra", "'zebra'"),
        ("pour the beads into the cup", "no vessel"),
    ],
)
def test_refusals_name_the_words(text: str, word: str) -> None:
    with pytest.raises(InstructionError, match=word) as caught:
        parse_instruction(text)
    assert caught.value.sentence == text
    assert "known words are" in str(caught.value)


def phrase(text: str):
    return parse_instruction(f"open {text}").target


def test_one_match_is_found() -> None:
    scene = (thing("red block"), thing("blue block"), thing("red cup"))
    assert find_object(scene, phrase("the red block")).detection is scene[0]


def test_no_match_is_an_answer_that_lists_what_is_seen() -> None:
    found = find_object((thing("red block"),), phrase("the green cup"))
    assert found.detection is None
    assert found.answer == "no such object: green cup; I see red block"


def test_an_empty_table_is_an_answer() -> None:
    assert find_object((), phrase("the cup")).answer == "no such object: cup; I see nothing at all"


def test_two_matches_are_an_answer_that_says_where() -> None:
    found = find_object((thing("red block", 0.4, 0.1), thing("red block", 0.5, -0.1)), phrase("the red block"))
    assert found.detection is None
    assert found.answer.startswith("two such objects: red block could be the red block at x = 0.40 m, y = 0.10 m")


@pytest.mark.parametrize(
    ("words", "index"),
    [
        ("the large block", 0),
        ("the smaller block", 1),
        ("the left block", 0),
        ("the rightmost block", 1),
        ("the nearest block", 1),
        ("the far block", 0),
    ],
)
def test_size_and_side_decide_between_two(words: str, index: int) -> None:
    scene = (thing("red block", 0.6, 0.2, (0.05, 0.05, 0.05)), thing("red block", 0.4, -0.1, (0.03, 0.03, 0.03)))
    assert find_object(scene, phrase(words)).detection is scene[index]


def test_size_does_not_decide_between_equals() -> None:
    assert find_object((thing("red block", 0.6), thing("red block", 0.4)), phrase("the large block")).detection is None


def test_a_holder_may_be_called_cup_unless_a_cup_is_there() -> None:
    holder, cup = thing("red holder"), thing("red cup")
    assert find_object((holder,), phrase("the red cup")).detection is holder
    assert find_object((holder, cup), phrase("the red cup")).detection is cup


def test_a_neighbouring_color_serves_only_when_the_color_is_missing() -> None:
    red, orange = thing("red block"), thing("orange block")
    assert find_object((orange,), phrase("the red block")).detection is orange
    assert find_object((orange, red), phrase("the red block")).detection is red
