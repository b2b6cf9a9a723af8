"""The classes of Gabor images: (image type, mean orientation), and their order."""

from typing import NamedTuple

import numpy as np

from utils.samples import ClassInfo

IMAGES = "ABCDUG"  # image types; a code is an index into this
A, D, U, G = (IMAGES.index(image) for image in "ADUG")
UNEXPECTED_TURN = 90  # degrees that U's mean orientation lies past its sequence's
SHARED = "D/U"  # where U lies on D's layout


class GaborClasses(NamedTuple):
    """`classes` in order; `index` [6, orientations] maps (image code, index of the sequence's
    mean orientation) to a class, -1 where there is none."""

    classes: tuple[ClassInfo, ...]
    index: np.ndarray


def gabor_classes(
    orientations: tuple[int, ...], *, gray: bool, unexpected: bool, own_U_layout: bool
) -> GaborClasses:
    """The classes of a run with these mean orientations, in degrees.

    A, B, C, D, then U, orientations ascending, last G. With `unexpected`, U images may occur: on
    D's layout they share the classes D/U over the union of both sets of orientations (the label's
    is_U tells them apart); on their own layout they have classes of their own.
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
            named = SHARED if shared and image in "DU" else image
            index[code, column] = position.get((named, None if image == "G" else angle), -1)
    return GaborClasses(tuple(classes), index)
