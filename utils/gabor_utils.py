"""The classes of Gabor images: (image type, mean orientation), and their order."""

from dataclasses import dataclass

import numpy as np

from utils.samples import ClassInfo

IMAGES = "ABCDUG"  # image types; a code is an index into this
A, D, U, G = (IMAGES.index(image) for image in "ADUG")
UNEXPECTED_TURN = 90  # degrees between U's mean orientation and that of its sequence
SHARED = "D/U"  # where U uses D's positions and sizes


@dataclass(frozen=True)
class GaborClasses:
    """The classes in order, and the class of each image.

    `index` `[6, orientations]` gives the class of (image code, index of the sequence's mean
    orientation), and -1 where there is none.
    """

    classes: tuple[ClassInfo, ...]
    index: np.ndarray

    def labels(self, images: np.ndarray, orientations: np.ndarray) -> np.ndarray:
        """Return (class, is_U) of M images, `[M, 2]`, from their codes and orientation indices."""
        return np.stack([self.index[images, orientations], images == U], axis=-1)


def gabor_classes(
    orientations: tuple[int, ...], *, gray: bool, unexpected: bool, own_U_layout: bool
) -> GaborClasses:
    """Return the classes of a run with these mean orientations, in degrees.

    The order is A, B, C, D, then U, with orientations ascending, and G last. `unexpected` says
    whether U images may occur. With D's positions and sizes they share the classes D/U, over the
    union of both sets of orientations, and the label's is_U tells them apart. With their own, they
    have classes of their own.
    """
    expected = sorted(orientation % 360 for orientation in orientations)
    turned = sorted((orientation + UNEXPECTED_TURN) % 360 for orientation in expected)
    angles = dict.fromkeys("ABCD", expected)
    shared = unexpected and not own_U_layout
    if shared:
        del angles["D"]
        angles[SHARED] = sorted({*expected, *turned})
    elif unexpected:
        angles["U"] = turned
    classes = [
        ClassInfo(f"{image} {angle}°", image, angle)
        for image, those in angles.items()
        for angle in those
    ]
    if gray:
        classes.append(ClassInfo("G", "G", None))

    position = {(info.image, info.orientation): i for i, info in enumerate(classes)}
    index = np.full((len(IMAGES), len(orientations)), -1)
    for code, image in enumerate(IMAGES):
        for column, orientation in enumerate(orientations):
            angle = (orientation + (UNEXPECTED_TURN if image == "U" else 0)) % 360
            name = SHARED if shared and image in "DU" else image
            index[code, column] = position.get((name, None if image == "G" else angle), -1)
    return GaborClasses(tuple(classes), index)
