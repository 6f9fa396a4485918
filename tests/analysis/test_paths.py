"""The plane of a path: against NumPy's singular vectors, and the losses that it hides."""

import numpy as np
import tensorflow as tf

from tests.analysis.known_objectives import Parabola
from tests.core.objectives import ObjectiveCase
from tests.core.problems import flat
from tf_fullbatch.analysis.landscape import surface
from tf_fullbatch.analysis.paths import path_losses, plane_of, projected
from tf_fullbatch.core import trees
from tf_fullbatch.errors import UserError

CHECKPOINTS = 9


class PathsTest(ObjectiveCase):
    def setUp(self) -> None:
        super().setUp()
        self.known = Parabola()
        like, generator = self.known.objective.theta(), np.random.default_rng(6)
        walk = np.cumsum(generator.normal(size=(CHECKPOINTS, len(self.known.minimum))), axis=0)
        self.vectors = self.known.minimum + walk[::-1] - walk[0]
        self.path = [trees.unflatten(tf.constant(v), like) for v in self.vectors]
        self.matrix = self.vectors - self.vectors[-1]

    def test_singular_vectors_and_explained_variance(self) -> None:
        found = plane_of(self.path, 3)
        _, lengths, vectors = np.linalg.svd(self.matrix, full_matrices=False)
        for i, direction in enumerate(found.directions):
            vector = vectors[i] * np.sign(vectors[i] @ flat(direction))
            self.assert_close(flat(direction), vector)
        self.assert_close(found.explained_variance, lengths[:3] ** 2 / np.sum(lengths**2))
        self.assertLess(found.explained_variance.sum(), 1)
        self.assertAllClose(plane_of(self.path, 8).explained_variance.sum(), 1, rtol=1e-12)

    def test_coordinates_are_the_projections(self) -> None:
        found = plane_of(self.path)
        basis = np.stack([flat(d) for d in found.directions])
        self.assertAllClose(basis @ basis.T, np.eye(2), rtol=0, atol=1e-12)
        self.assert_close(found.coordinates, self.matrix @ basis.T)
        self.assertAllEqual(found.coordinates[-1], [0, 0])
        left = self.matrix - self.matrix @ basis.T @ basis
        self.assert_close(found.distances, np.linalg.norm(left, axis=1), 1e-7)  # a root of a difference
        farthest = np.argmax(np.abs(found.coordinates), axis=0)
        self.assertTrue(np.all(found.coordinates[farthest, [0, 1]] > 0))

    def test_the_paths_loss_is_not_the_planes(self) -> None:
        objective, found = self.known.objective, plane_of(self.path)
        losses = path_losses(objective, self.path, found)
        self.assert_close(losses.path, np.array([self.known.loss(v) for v in self.vectors]))
        basis = np.stack([flat(d) for d in found.directions])
        beneath = self.vectors[-1] + self.matrix @ basis.T @ basis
        self.assert_close(losses.plane, np.array([self.known.loss(v) for v in beneath]))
        self.assertGreater(np.abs(losses.path - losses.plane).max(), 0.1)
        self.assertAllClose(losses.path[-1], losses.plane[-1], rtol=1e-12)
        axes = [[found.coordinates[3, 0]], [found.coordinates[3, 1]]]
        picture = surface(objective, found.centre, found.directions, axes)
        self.assertAllClose(picture.loss[0, 0], losses.plane[3], rtol=1e-12)
        self.assert_close(flat(projected(found, found.coordinates[3])), beneath[3])

    def test_checkpoints_may_be_loaded_when_asked_for(self) -> None:
        path = self.path

        class Folder:
            def __len__(self) -> int:
                return len(path)

            def __getitem__(self, index: int) -> trees.Tree:
                return [leaf.numpy() for leaf in path[index]]

        found, expected = plane_of(Folder()), plane_of(path)
        self.assertAllEqual(found.coordinates, expected.coordinates)
        self.assertAllEqual(flat(found.directions[1]), flat(expected.directions[1]))

    def test_small_steps_of_float32_weights(self) -> None:
        """Differences of weights are taken in float64, where those of float32 are exact."""
        single = [[tf.cast(1e-4 * leaf, tf.float32) + 1 for leaf in tree] for tree in self.path]
        matrix = np.stack([flat(t).astype(np.float64) for t in single])
        lengths = np.linalg.svd(matrix - matrix[-1], compute_uv=False)
        found = plane_of(single)
        self.assert_close(found.explained_variance, lengths[:2] ** 2 / np.sum(lengths**2))
        self.assertEqual(found.directions[0][0].dtype, tf.float32)

    def test_words(self) -> None:
        with self.assertRaisesRegex(UserError, "2 checkpoints for 2 directions"):
            plane_of(self.path[:2])
        line = [trees.add_scaled(self.path[0], a, self.path[1]) for a in (0.0, 0.5, 0.7, 1.0)]
        with self.assertRaisesRegex(UserError, "span fewer than 2 directions"):
            plane_of(line)
        self.assertAllClose(plane_of(line, 1).explained_variance, [1], rtol=1e-12)
        with self.assertRaisesRegex(UserError, "span fewer than 1 directions"):
            plane_of([line[0]] * 3, 1)


if __name__ == "__main__":
    tf.test.main()
