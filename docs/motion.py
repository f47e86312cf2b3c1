"""Draws docs/images/motion.webp: clips of the demo with the motion that was measured of them.

    arot demo && python docs/motion.py

Belongs here: which clips, and the drawing. What the numbers mean is said in ``video.md``, how they come about in the macro
``clip_motion``.
"""

from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from arot_assets.media.video.colour import FrameAppearance, rgb_of
from arot_assets.media.video.decode import decoded
from resources.defaults import default_resources

PICTURE = Path(__file__).with_name("images") / "motion.webp"
SHOWN = (
    ("oa4_launch.webm", 0),
    ("camera.mp4", 0),
    ("camera.mp4", 72),
    ("camera.mp4", 108),
    ("camera.mp4", 132),
    ("camera.mp4", 168),
    ("camera.mp4", 204),
    ("camera.mp4", 240),
    ("subject.mp4", 0),
    ("subject.mp4", 48),
)
"""Film and first frame of each clip."""
NUMBERS = ("pan", "tilt", "zoom", "roll", "camera_mean", "shake", "subject_p95", "subject_area", "static_share")
MEANT = {"pan": 0.02, "tilt": 0.02, "zoom": 0.05, "roll": 0.05, "shake": 1.0, "subject_p95": 0.1, "static_share": 0.5}
"""From which value on a number is printed bold: it tells this clip from others."""
WIDTH, HEIGHT, GAP, TEXT, LINE = 160, 90, 4, 400, 17
QUERY = f"""select s.uri, c.start_n, c.end_n, m.camera_kind, {", ".join(f"m.{name}" for name in NUMBERS)}
    from film_clips c join film_motion m using (clip_id) join films.samples s on s.sample_id = c.sample_id
    where parse_filename(s.uri) = ? and c.start_n = ?"""


def main() -> None:
    """Draw a row for each clip: its first, middle and last picture, and its numbers."""
    with default_resources().warehouse.connect() as con:
        facts = {row["uri"]: row for row in con.sql("select * from films.samples").to_arrow_table().to_pylist()}
        rows = [con.execute(QUERY, list(one)).fetchone() for one in SHOWN]
    sheet = Image.new("RGB", (3 * (WIDTH + GAP) + TEXT, len(rows) * (HEIGHT + GAP)), "white")
    for k, row in enumerate(rows):
        assert row is not None, f"{SHOWN[k]} is no clip: run `arot demo`"
        uri, start, end, kind, *values = row
        told = dict(zip(NUMBERS, values, strict=True))
        for n, picture in enumerate(pictures(facts[uri], (start, (start + end) // 2, end - 1))):
            if n == 1:
                draw_arrow(picture, told["pan"], told["tilt"])
            sheet.paste(picture, (n * (WIDTH + GAP), k * (HEIGHT + GAP)))
        write(sheet, kind, told, 3 * (WIDTH + GAP) + 8, k * (HEIGHT + GAP))
    sheet.save(PICTURE, quality=70, method=6)
    print(f"wrote {PICTURE}, {PICTURE.stat().st_size:,} bytes")


def pictures(facts: dict[str, Any], wanted: tuple[int, ...]) -> list[Image.Image]:
    """Some frames of a film, by their ordinals."""
    look, found = FrameAppearance.of(facts), []
    for frame in decoded(Path(facts["uri"].removeprefix("file://"))):
        if frame.n in wanted:
            found.append(Image.fromarray(rgb_of(frame.frame, look)).resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS))
        if frame.n >= max(wanted):
            break
    return found


def draw_arrow(picture: Image.Image, pan: float, tilt: float) -> None:
    """Where the camera goes in half a second, at most to the edge; nothing for one that hardly moves."""
    x, y = max(-75.0, min(75.0, pan * WIDTH / 2)), max(-40.0, min(40.0, -tilt * WIDTH / 2))
    length = (x * x + y * y) ** 0.5
    if length < 4:
        return
    pen, middle = ImageDraw.Draw(picture), (WIDTH / 2, HEIGHT / 2)
    end = (middle[0] + x, middle[1] + y)
    along, across = (x / length * 7, y / length * 7), (-y / length * 5, x / length * 5)
    head = [end, *((end[0] - along[0] + s * across[0], end[1] - along[1] + s * across[1]) for s in (1, -1))]
    for colour, width in (("black", 5), ("yellow", 3)):
        pen.line([middle, end], fill=colour, width=width)
    pen.polygon(head, fill="yellow", outline="black")


def write(sheet: Image.Image, kind: str, told: dict[str, float], left: int, top: int) -> None:
    """The kind, and the numbers; those that make it one are bold."""
    pen = ImageDraw.Draw(sheet)
    plain = {size: ImageFont.load_default(size) for size in (13, 16)}
    pen.text((left, top), kind, fill="black", font=plain[16], stroke_width=0.4, stroke_fill="black")
    for k, (name, value) in enumerate(told.items()):
        at = (left + k % 3 * 132, top + 24 + k // 3 * LINE)
        bold = abs(value) >= MEANT.get(name, float("inf"))
        colour = "black" if bold else "#777777"
        pen.text(
            at,
            f"{name} {value + 0:.2f}".replace("-0.00", "0.00"),
            fill=colour,
            font=plain[13],
            stroke_width=0.4 if bold else 0,
            stroke_fill=colour,
        )


if __name__ == "__main__":
    main()
