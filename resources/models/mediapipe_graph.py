"""MediaPipe itself, which the families of its networks are compared with.

Belongs here: running one of its graphs over a still, and reading its answer. Does not belong here: anything that scores images:
MediaPipe is no dependency, and is imported only to be compared with.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from resources.models.entry import ModelEntry, ModelError
from resources.models.network import Outputs

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class MediaPipeGraph:
    """One of its graphs.

    Attributes:
        file: of its package.
        given: side packets: no frame before, no smoothing.
        counted: the side packet that says how many things are looked into; empty: one is.
        points, classes, present: its streams; the last one is inside of it.
    """

    file: str
    given: dict[str, int | bool]
    points: str
    present: str
    counted: str = ""
    classes: str = ""


STILL: dict[str, int | bool] = {"model_complexity": 1, "use_prev_landmarks": False}
PLAIN = {"smooth_landmarks": False, "enable_segmentation": False, "smooth_segmentation": False}
BY_ROI = "poselandmarkbyroicpu__tensorstoposelandmarksandsegmentation"
GRAPHS = {
    "mediapipe/hands": MediaPipeGraph(
        "mediapipe/modules/hand_landmark/hand_landmark_tracking_cpu.binarypb",
        STILL,
        points="multi_hand_landmarks",
        present="handlandmarkcpu__hand_presence_score",
        counted="num_hands",
        classes="multi_handedness",
    ),
    "mediapipe/pose": MediaPipeGraph(
        "mediapipe/modules/pose_landmark/pose_landmark_cpu.binarypb",
        STILL | PLAIN,
        points="pose_landmarks",
        present=f"{BY_ROI}__pose_presence_score",
    ),
}
PRESENT = 0.5
"""Above which its graphs tell of a thing."""


def graph_of(entry: ModelEntry, most: int) -> "Callable[[Image], Outputs]":
    """Its graph for an entry of the family ``landmarks``, as that family's array.

    Raises:
        ModelError: it is not installed, is of another version than the entry's weights, or has no graph for the entry.
    """
    if entry.public_name not in GRAPHS:
        raise ModelError(
            f"model '{entry.name}': MediaPipe has no graph to compare '{entry.public_name}' with; `id` is one of "
            f"{', '.join(GRAPHS)}"
        )
    graph = GRAPHS[entry.public_name]
    library, root = _library(entry)
    version = getattr(library, "__version__", "of no version")
    if entry.weights.release != f"mediapipe {version}":
        raise ModelError(
            f"model '{entry.name}' is compared with {entry.weights.release}, and installed is {version}; install that version"
        )
    made = importlib.import_module("mediapipe.python")
    packets, told = made.packet_creator, made.packet_getter
    importlib.import_module("mediapipe.python._framework_bindings.resource_util").set_resource_dir(str(root))
    importlib.import_module("mediapipe.python.solution_base")  # knows the types of what graphs give
    given = graph.given | ({graph.counted: most} if graph.counted else {})
    side = {k: packets.create_bool(v) if isinstance(v, bool) else packets.create_int(v) for k, v in given.items()}

    def run(picture: "Image") -> Outputs:
        rgb = np.ascontiguousarray(np.asarray(picture.convert("RGB")))
        running = made.CalculatorGraph(binary_graph_path=str(root / graph.file))
        heard: dict[str, list[Any]] = {name: [] for name in (graph.points, graph.present, graph.classes) if name}
        for name in heard:
            running.observe_output_stream(name, lambda name, packet: heard[name].append(packet))
        running.start_run(side)
        frame = packets.create_image_frame(image_format=made.ImageFormat.SRGB, data=rgb).at(1)
        running.add_packet_to_input_stream(stream="image", packet=frame)
        running.close_all_packet_sources()
        running.wait_until_done()
        sure = [score for score in map(told.get_float, heard[graph.present]) if score > PRESENT]
        things = _protos(told, heard[graph.points], bool(graph.classes))
        which = _protos(told, heard[graph.classes], True) if graph.classes else [None] * len(things)
        return {"landmarks": [[_row(*of_one) for of_one in zip(things, which, sure, strict=True)]]}

    return run


def _library(entry: ModelEntry) -> tuple[Any, Path]:
    """MediaPipe, and the folder that its files lie below."""
    try:
        library = importlib.import_module("mediapipe")
    except ImportError as error:
        raise ModelError(
            f"model '{entry.name}' is compared with MediaPipe: `pip install --no-deps {entry.weights.release.replace(' ', '==')} "
            "matplotlib contourpy cycler kiwisolver pyparsing absl-py` in an environment of your own (Python 3.11 or 3.12)"
        ) from error
    return library, Path(str(library.__file__)).parents[1]


def _protos(told: Any, packets: list[Any], many: bool) -> list[Any]:
    """What a stream said of the only frame: a list, or one message."""
    if not packets:
        return []
    return list(told.get_proto_list(packets[0])) if many else [told.get_proto(packets[0])]


def _row(points: Any, which: Any, present: float) -> tuple[float, ...]:
    """Its landmarks, classes and score of a thing as a row of the family ``landmarks``."""
    x, y = ([getattr(p, axis) for p in points.landmark] for axis in "xy")
    left, right, top, bottom = (min(max(edge, 0.0), 1.0) for edge in (min(x), max(x), min(y), max(y)))
    seen = [[p.visibility] if p.HasField("visibility") else [] for p in points.landmark]
    numbers = [n for p, v in zip(points.landmark, seen, strict=True) for n in (p.x, p.y, p.z, *v)]
    best = which.classification[0] if which is not None else None
    index, sure = (best.index, best.score) if best is not None else (0, 1.0)
    return (float(index), sure, present, left, top, right - left, bottom - top, *numbers)
