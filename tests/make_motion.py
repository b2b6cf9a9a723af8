"""Videos whose class shows only in their movement: python tests/make_motion.py --d_root DIR

Every video looks at a random texture of its own through a window that moves over it: right, left,
up or down, right or left at twice the speed, or turning on the spot. (Classes are named by how the
texture moves on the screen.) The texture is periodic noise with wavelengths of 14 to 28 pixels, in
which no direction and no place is special, and the window starts at a uniformly drawn place and
angle. So a single frame has the same distribution in all classes, whatever its number; there is
no blur by motion, and each frame is compressed on its own (MJPG at a fixed quality: the artefacts
of codecs that predict frames from others tell some classes apart).

Turning moves the frame's pixels as fast as the slow classes do, on average. At the default speed
and a stride of up to 3 frames every pixel moves less than half the shortest wavelength from one
sampled frame to the next, so that the direction can be told.

Flips turn classes into each other (right into left): train the classifier with --no_augm.

    {d_root}/UCF101/videos/{class}/v_{class}_g{group}_c01.avi
    {d_root}/UCF101/splits/trainlist01.txt, testlist01.txt, classInd.txt
    {d_root}/UCF101/made.json                               what made it, and how
"""

import argparse
from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np

from make_clips import UsageError, Video, make_parser, make_tree

CANVAS = 256  # pixels, the texture's period
WAVELENGTHS = (14.0, 28.0)  # pixels
CONTRAST = 45.0  # standard deviation, grey levels
LEAST_SIZE = 64
LARGEST_STRIDE = 3  # frames, without aliasing
FPS = 25.0


class Motion(NamedTuple):
    """Per frame, in units of the speed: to the right, downwards, and clockwise (at the mean
    distance of a frame's pixels from its centre)."""

    right: float = 0
    down: float = 0
    clockwise: float = 0


MOTIONS = {
    "RotateLeft": Motion(clockwise=-1),
    "RotateRight": Motion(clockwise=1),
    "TranslateDown": Motion(down=1),
    "TranslateLeft": Motion(right=-1),
    "TranslateLeftFast": Motion(right=-2),
    "TranslateRight": Motion(right=1),
    "TranslateRightFast": Motion(right=2),
    "TranslateUp": Motion(down=-1),
}
FASTEST = 2


def texture(generator: np.random.Generator) -> np.ndarray:
    """Periodic noise [CANVAS, CANVAS], float32, mean 0, std 1: white within the band, else none."""
    frequency = np.fft.fftfreq(CANVAS)
    radius = np.hypot(frequency[:, None], frequency[None, :])
    band = (radius >= 1 / WAVELENGTHS[1]) & (radius <= 1 / WAVELENGTHS[0])
    noise = np.fft.fft2(generator.standard_normal((CANVAS, CANVAS)))
    field = np.fft.ifft2(noise * band).real
    return (field / field.std()).astype(np.float32)


def mean_radius(size: tuple[int, int]) -> float:
    """Pixels, of a frame's pixels from its centre."""
    x, y = centred_grid(size)
    return float(np.hypot(x, y).mean())


def centred_grid(size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    width, height = size
    return np.meshgrid(np.arange(width) - (width - 1) / 2, np.arange(height) - (height - 1) / 2)


def draw(
    motion: Motion,
    speed: float,
    num_frames: int,
    size: tuple[int, int],
    generator: np.random.Generator,
) -> Iterator[np.ndarray]:
    """BGR frames (gray). `speed`: pixels per frame. `size`: width, height."""
    margin = max(size)  # more than half a frame's diagonal
    canvas = np.pad(texture(generator), margin, mode="wrap")
    place, angle = generator.uniform(0, CANVAS, 2), generator.uniform(0, 2 * np.pi)
    x, y = centred_grid(size)
    for t in range(num_frames):
        shown_x, shown_y = x - motion.right * speed * t, y - motion.down * speed * t
        turned = angle - motion.clockwise * speed * t / mean_radius(size)
        cos, sin = np.cos(turned), np.sin(turned)
        at_x = place[0] + cos * shown_x - sin * shown_y
        at_y = place[1] + sin * shown_x + cos * shown_y
        at_x -= CANVAS * np.floor(at_x.mean() / CANVAS) - margin
        at_y -= CANVAS * np.floor(at_y.mean() / CANVAS) - margin
        values = cv2.remap(
            canvas, at_x.astype(np.float32), at_y.astype(np.float32), cv2.INTER_CUBIC
        )
        gray = np.clip(np.rint(127.5 + CONTRAST * values), 0, 255).astype(np.uint8)
        yield cv2.cvtColor(gray, cv2.COLOR_GRAY2BGR)


def motion_videos(
    train: int, test: int, num_frames: int, size: tuple[int, int], speed: float, seed: int
) -> Iterator[Video]:
    """`train`, `test`: videos in a class. A video follows from the seed, its class, whether it is
    for training, and its number there, not from how many others there are."""
    for label, (name, motion) in enumerate(MOTIONS.items()):
        for group in range(1, train + test + 1):
            is_train = group <= train
            number = group if is_train else group - train
            generator = np.random.default_rng([seed, label, is_train, number])
            frames = draw(motion, speed, num_frames, size, generator)
            yield Video(name, group, 1, is_train, FPS, frames)


def check(typed: argparse.Namespace) -> None:
    for name in ("frames", "train", "test"):
        if getattr(typed, name) < 1:
            raise UsageError(f"--{name} {getattr(typed, name)}: must be at least 1")
    if not LEAST_SIZE <= min(typed.size) <= max(typed.size) <= CANVAS:
        raise UsageError(f"--size: both sides must be {LEAST_SIZE} to {CANVAS} pixels")
    most = WAVELENGTHS[0] / 2 / LARGEST_STRIDE / FASTEST
    if not 0 < typed.speed < most:
        raise UsageError(f"--speed {typed.speed}: must be above 0 and below {most:.2f}")
    if typed.seed < 0:
        raise UsageError(f"--seed {typed.seed}: must be at least 0")


def main(argv: list[str] | None = None) -> None:
    parser = make_parser(__doc__)
    add = parser.add_argument
    add("--train", type=int, default=48, help="training videos in a class (48)")
    add("--test", type=int, default=16, help="test videos in a class (16)")
    add("--frames", type=int, default=60, help="in a video (60)")
    add("--size", type=int, nargs=2, default=(64, 64), metavar=("WIDTH", "HEIGHT"), help="(64 64)")
    add("--speed", type=float, default=1.0, help="of the slow classes, pixels per frame (1.0)")
    add("--seed", type=int, default=0, help="(0)")
    typed = parser.parse_args(argv)
    try:
        check(typed)
        sizes = (typed.train, typed.test, typed.frames, tuple(typed.size), typed.speed, typed.seed)
        recipe = {"script": "make_motion.py", **vars(typed), "size": list(typed.size)}
        del recipe["d_root"]
        new = make_tree(typed.d_root, motion_videos(*sizes), ("MJPG",), recipe)
    except UsageError as error:
        parser.error(str(error))
    print(f"{typed.d_root / 'UCF101'}: {'made' if new else 'was there already'}")


if __name__ == "__main__":
    main()
