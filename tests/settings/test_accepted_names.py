"""What is said of a name that is none of the accepted ones."""

import pytest

from tf_fullbatch.settings.accepted_names import MOST, accepted_instead

MANY = [f"name{i}" for i in range(MOST + 1)]


@pytest.mark.parametrize(
    ("names", "near", "others", "said"),
    [
        (["a", "b"], [], "", "accepted are a, b."),
        (["a", "b"], ["b"], "c:NAME", "accepted are a, b, c:NAME; did you mean b?"),
        (MANY, [], "", f"accepted are {MOST + 1} names (python -m x lists them)."),
        (
            MANY,
            ["name1", "name2"],
            "c:NAME",
            f"did you mean name1 or name2? Accepted are {MOST + 1} names (python -m x lists them), c:NAME.",
        ),
    ],
)
def test_few_are_listed_and_of_many_the_nearest(names, near, others, said):
    assert accepted_instead(names, near, others, "python -m x") == said


def test_as_many_as_are_listed():
    assert accepted_instead(MANY[:MOST], []) == f"accepted are {', '.join(MANY[:MOST])}."
