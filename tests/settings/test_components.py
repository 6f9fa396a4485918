"""Choices among components: flat values to nested settings and back, and what is refused."""

import dataclasses
import unittest
from dataclasses import dataclass
from typing import ClassVar

from tf_fullbatch.errors import UserError
from tf_fullbatch.settings.components import Choice, Group, chosen_by, described
from tf_fullbatch.settings.fields import Settings, setting


@dataclass(frozen=True, kw_only=True, slots=True)
class Circle(Settings):
    summary: ClassVar[str] = "round"
    size: float = setting(1.0, "Size.", above=0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Star(Settings):
    summary: ClassVar[str] = ""
    size: float = setting(1.0, "Size.", above=0)
    points: int = setting(5, "Points.", minimum=3)
    colours: tuple[str, ...] = setting((), "Colours.")


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture(Settings):
    summary: ClassVar[str] = "any file"
    path: str | None = setting(None, "Its file.")


SHAPES = {"circle": Circle, "star": Star}


@dataclass(frozen=True, kw_only=True, slots=True)
class Drawing(Group):
    shape: str = setting("circle", "Shape.", choices=tuple(SHAPES))
    pen: int = setting(1, "Pen.", minimum=1)
    chosen_shape: Settings = chosen_by("shape", SHAPES)
    name: str = setting("", "Name.")


@dataclass(frozen=True, kw_only=True, slots=True)
class AnyDrawing(Group):
    shape: str = setting("circle", "Shape.")
    chosen_shape: Settings = chosen_by("shape", SHAPES, (lambda name: True, Picture))


class GroupTest(unittest.TestCase):
    def test_flat_values_and_back(self):
        drawing = Drawing.of(shape="star", points=7, colours=["red", "blue"], name="mine")
        self.assertEqual(drawing.chosen_shape, Star(points=7, colours=("red", "blue")))
        flat = {
            "shape": "star",
            "pen": 1,
            "size": 1.0,
            "points": 7,
            "colours": ("red", "blue"),
            "name": "mine",
        }
        self.assertEqual(list(drawing.to_flat().items()), list(flat.items()))
        self.assertEqual(Drawing.of(**flat), drawing)
        self.assertEqual([field.name for field in Drawing.flat_fields()], list(flat))

    def test_what_is_not_chosen_stands_at_its_defaults(self):
        self.assertEqual(
            Drawing.of(size=2.0).to_flat(),
            {"shape": "circle", "pen": 1, "size": 2.0, "points": 5, "colours": (), "name": ""},
        )
        self.assertEqual(Drawing.idle_fields({"shape": "circle"}), {"points", "colours"})
        self.assertEqual(Drawing.idle_fields({"shape": "star"}), set())
        self.assertEqual(Drawing.idle_fields({}), set())

    def test_a_component_left_out_has_its_defaults(self):
        self.assertEqual(Drawing(shape="star").chosen_shape, Star())
        self.assertEqual(Drawing(shape="star"), Drawing.of(shape="star"))
        self.assertEqual(
            Drawing(shape="star", chosen_shape=Star(points=3)), Drawing.of(shape="star", points=3)
        )
        with self.assertRaisesRegex(TypeError, "chosen_shape must be a Star, as shape says, not Circle"):
            Drawing(shape="star", chosen_shape=Circle())

    def test_other_names(self):
        self.assertEqual(AnyDrawing.of(shape="a.png", path="x").chosen_shape, Picture(path="x"))
        self.assertEqual(AnyDrawing.of(shape="star").chosen_shape, Star())
        self.assertEqual(
            [f.name for f in AnyDrawing.flat_fields()], ["shape", "path", "size", "points", "colours"]
        )

    def test_refused(self):
        for values, message in (
            ({"points": 6}, "^--points=6 has no effect with --shape=circle: leave it at 5, its default.$"),
            (
                {"colours": ("a", "b")},
                "^--colours=a,b has no effect with --shape=circle: leave it unset, its default.$",
            ),
            ({"points": 2}, "^--points=2: must be at least 3.$"),
            ({"shape": "star", "points": 2}, "^--points=2: must be at least 3.$"),
            ({"shape": "blot"}, "^--shape=blot: accepted are circle, star.$"),
            ({"shape": None}, "^--shape=None: must be text.$"),
            ({"shape": {}}, "^--shape={}: must be text.$"),
            ({"pen": 0}, "^--pen=0: must be at least 1.$"),
        ):
            with self.subTest(values=values), self.assertRaisesRegex(UserError, message):
                Drawing.of(**values)
        self.assertEqual(Drawing.of(points=5), Drawing())
        with self.assertRaisesRegex(TypeError, "Drawing has no setting ink"):
            Drawing.of(ink=3)

    def test_one_component_alone(self):
        self.assertEqual(Drawing.component("shape", "star", points=4), Star(points=4))
        with self.assertRaisesRegex(TypeError, "shape 'star' has no setting pen"):
            Drawing.component("shape", "star", pen=3)
        with self.assertRaisesRegex(UserError, "--points=4 has no effect with --shape=circle"):
            Drawing.component("shape", "circle", points=4)


class ChoiceTest(unittest.TestCase):
    def test_a_shared_name_must_mean_the_same(self):
        choice = Choice("shape", SHAPES)
        self.assertEqual([field.name for field in choice.fields()], ["size", "points", "colours"])
        for kind, field in (
            (float, setting(1.0, "Radius.", above=0)),
            (float, setting(2.0, "Size.", above=0)),
            (float, setting(1.0, "Size.", minimum=0)),
            (int, setting(1, "Size.", above=0)),
        ):
            other = dataclasses.make_dataclass(
                "Blob", [("size", kind, field)], bases=(Settings,), frozen=True, kw_only=True, slots=True
            )
            with self.assertRaisesRegex(
                TypeError, "--size of Blob is another setting than that of --shape's other"
            ):
                Choice("shape", SHAPES | {"blob": other}).fields()

    def test_descriptions(self):
        self.assertEqual(described(SHAPES), "circle (round) or star")
        self.assertEqual(
            described(SHAPES | {"picture": Picture}), "circle (round), star or picture (any file)"
        )
        self.assertEqual(described({"star": Star}), "star")
        self.assertEqual(described(SHAPES, last=", "), "circle (round), star")


if __name__ == "__main__":
    unittest.main()
