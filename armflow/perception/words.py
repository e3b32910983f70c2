"""The words that instructions may use: verbs, nouns, colours, sizes, places."""

__all__ = [
    "COLOR_WORDS",
    "CONTENTS",
    "FILLERS",
    "NEAR_COLORS",
    "NOUNS",
    "PLACE_WORDS",
    "PREPOSITIONS",
    "SIZE_WORDS",
    "VERBS",
]

VERBS: dict[str, str] = {
    **dict.fromkeys(("push", "slide", "shove", "nudge", "scoot", "sweep", "drag", "press"), "push"),
    **dict.fromkeys(("put", "place", "set", "lay", "move", "bring", "carry", "pick", "take", "grab", "grasp"), "place"),
    **dict.fromkeys(("lift", "get", "transfer", "stack", "deposit", "position", "rest", "drop", "stand"), "place"),
    **dict.fromkeys(("insert", "stick", "thread", "plug", "sheathe"), "insert"),
    **dict.fromkeys(("hang", "hook", "suspend"), "hang"),
    **dict.fromkeys(("pour", "empty", "tip", "dump", "decant"), "pour"),
    **dict.fromkeys(("open", "pull"), "open"),
}
"""First word of a command to the relation it asks for, before the preposition and the nouns have their say."""

NOUNS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("block", "cube", "box", "brick", "cuboid", "dice", "die"), ("block",)),
    **dict.fromkeys(("disc", "disk", "circle", "target", "plate", "pad", "coaster", "saucer"), ("disc",)),
    **dict.fromkeys(("spot", "mark", "marking", "goal", "zone", "area", "patch", "dot", "mat"), ("disc",)),
    **dict.fromkeys(("pen", "marker", "pencil", "stylus", "crayon", "biro", "stick", "rod"), ("pen",)),
    **dict.fromkeys(("cup", "beaker", "tumbler", "glass", "container", "vessel", "bowl"), ("cup", "holder", "mug")),
    **dict.fromkeys(("mug", "coffee mug", "tea mug"), ("mug", "cup", "holder")),
    **dict.fromkeys(("holder", "pen holder", "pencil holder", "marker holder"), ("holder", "cup", "mug")),
    **dict.fromkeys(("pot", "jar", "can", "tin", "pen pot", "pencil pot", "pen cup"), ("holder", "cup", "mug")),
    **dict.fromkeys(("rack", "mug rack", "cup rack", "peg", "hook", "stand", "mug stand"), ("rack",)),
    **dict.fromkeys(("tree", "mug tree", "hanger", "mug hanger", "mug hook", "post", "pole"), ("rack",)),
    **dict.fromkeys(("drawer", "cabinet", "chest", "cupboard", "drawer handle", "handle"), ("drawer",)),
    **dict.fromkeys(("cylinder",), ("unknown",)),
    **dict.fromkeys(("object", "thing", "item", "one"), ()),
}
"""Noun to the kinds it may mean, best first; no kind stands for any."""

CONTENTS = ("beads", "bead", "balls", "marbles", "pellets", "contents", "content", "pebbles", "beans")
CONTENTS += ("everything", "stuff")

COLOR_WORDS: dict[str, str] = {
    **dict.fromkeys(("red", "scarlet", "crimson", "ruby", "vermilion", "maroon", "cherry"), "red"),
    **dict.fromkeys(("green", "emerald", "lime", "olive", "jade"), "green"),
    **dict.fromkeys(("blue", "navy", "cobalt", "azure", "sapphire", "indigo"), "blue"),
    **dict.fromkeys(("yellow", "golden", "gold", "lemon", "amber"), "yellow"),
    **dict.fromkeys(("orange", "tangerine"), "orange"),
    **dict.fromkeys(("purple", "violet", "lilac", "mauve", "plum"), "purple"),
    **dict.fromkeys(("cyan", "turquoise", "teal", "aqua"), "cyan"),
    **dict.fromkeys(("white", "ivory"), "white"),
    **dict.fromkeys(("black", "ebony"), "black"),
    **dict.fromkeys(("brown", "wooden", "tan", "chocolate", "beige"), "brown"),
    **dict.fromkeys(("pink", "magenta", "rose", "fuchsia"), "pink"),
    **dict.fromkeys(("gray", "grey", "silver"), "gray"),
}

NEAR_COLORS: dict[str, tuple[str, ...]] = {
    "red": ("orange", "pink", "brown"),
    "green": ("cyan", "yellow"),
    "blue": ("purple", "cyan"),
    "yellow": ("orange", "brown"),
    "orange": ("brown", "red", "yellow"),
    "purple": ("pink", "blue"),
    "cyan": ("blue", "green"),
    "white": ("gray",),
    "black": ("gray", "brown"),
    "brown": ("orange", "red", "yellow"),
    "pink": ("purple", "red"),
    "gray": ("white", "black"),
}
"""Colours that light may turn a colour into, tried only when nothing has the colour itself."""

SIZE_WORDS: dict[str, str] = {
    **dict.fromkeys(("small", "smaller", "smallest", "little", "tiny"), "small"),
    **dict.fromkeys(("big", "bigger", "biggest", "large", "larger", "largest"), "large"),
    **dict.fromkeys(("tall", "taller", "tallest", "high"), "tall"),
    **dict.fromkeys(("short", "shorter", "shortest", "low"), "short"),
    **dict.fromkeys(("long", "longer", "longest"), "long"),
    **dict.fromkeys(("wide", "wider", "widest"), "wide"),
    **dict.fromkeys(("narrow", "narrower", "narrowest", "thin"), "narrow"),
}

PLACE_WORDS: dict[str, str] = {
    **dict.fromkeys(("left", "leftmost"), "left"),
    **dict.fromkeys(("right", "rightmost"), "right"),
    **dict.fromkeys(("near", "nearest", "closest", "nearer", "closer"), "near"),
    **dict.fromkeys(("far", "farthest", "furthest", "farther"), "far"),
    **dict.fromkeys(("middle", "central", "center"), "middle"),
}

PREPOSITIONS: dict[str, str] = {
    **dict.fromkeys(("onto", "on", "upon", "atop", "over"), "on"),
    **dict.fromkeys(("into", "in", "inside"), "in"),
    **dict.fromkeys(("to", "towards", "toward", "until", "against", "at"), "to"),
    "from": "from",
    "by": "by",
    "with": "with",
}

FILLERS = frozenset({
    "the", "a", "an", "please", "now", "then", "and", "it", "its", "that", "is", "which", "your", "my", "up", "out",
    "down", "can", "could", "you", "would", "kindly", "robot", "go", "so", "stands", "lies", "gently", "carefully",
    "slowly", "just", "top", "of", "colored", "coloured", "side", "hand", "all", "some", "this", "there", "over",
    "way", "fully", "completely", "standing", "lying", "upright", "onto", "for", "me", "i", "want", "off", "ones",
})  # fmt: skip
"""Words that say nothing here."""
