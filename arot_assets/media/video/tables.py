"""The tables that one decode of a film fills, as data: names, grains, columns.

Belongs here: what the columns mean. Does not belong here: how they are measured (``film.py``). Every process imports
this module.
"""

import pyarrow as pa

from arot_assets.columns import Column
from arot_assets.media.medium import ChildTable

REPEAT_CHANGE = 0.08
"""Gray levels of mean change up to which a frame repeats the one before."""
REPEAT_RATIO = 0.12
"""The same, relative to the second largest change among six frames."""

FRAMES = ChildTable(
    "frames",
    "frame",
    "Every frame shown, with what tells it from the one before, on a grid of about 192 x 108 cells.",
    (
        Column("n", pa.int32(), "ordinal among the frames shown, from 0"),
        Column("pts", pa.int64(), "when it is shown, in units of samples.time_base"),
        Column("key", pa.bool_(), "whether decoding can start here"),
        Column("damaged", pa.bool_(), "whether its pixels may be wrong: from a refused packet to the next key frame"),
        Column("resized", pa.bool_(), "whether its size differs from that of the frame before"),
        Column("crc", pa.uint32(), "CRC-32 of the grid: the same in every container"),
        Column("mean_y", pa.float32(), "mean luma, 0-255 in full range", 0, 255),
        Column("std_y", pa.float32(), "standard deviation of luma", 0, 128),
        Column("p02_y", pa.float32(), "2nd percentile of luma", 0, 255),
        Column("p98_y", pa.float32(), "98th percentile of luma", 0, 255),
        Column("d_y", pa.float32(), "mean absolute difference of luma to the frame before; 0 for the first", 0, 255),
        Column("d_u", pa.float32(), "the same of the blue difference", 0, 255),
        Column("d_v", pa.float32(), "the same of the red difference", 0, 255),
        Column("changed", pa.float32(), "share of cells whose luma changed by more than 12 levels", 0, 1),
        Column("worst_block", pa.float32(), "largest mean difference of luma of a block of 8 x 8 cells", 0, 255),
        Column("histogram", pa.float32(), "half the L1 distance of the luma histograms of the two frames", 0, 1),
        Column("similarity", pa.float32(), "correlation of luma with the frame before; null for the first"),
        Column(
            "comes_back",
            pa.float32(),
            "best correlation of the picture before with the five after this one, or of this one with the five before that: "
            "near 1 at a flash",
        ),
        Column("linear_change", pa.float32(), "mean absolute difference of the frames 6 before and 6 after"),
        Column("linear_residual", pa.float32(), "distance of this frame from the mean of those two, over theirs"),
        Column("linear_corr", pa.float32(), "correlation of the change before with the change after: 1 in a dissolve"),
    ),
)
STEPS = ChildTable(
    "steps",
    "step",
    "Motion between two pictures 1/12 s apart, of the camera and of what moves against it. Widths are those of the picture.",
    (
        Column("n0", pa.int32(), "the first frame"),
        Column("n1", pa.int32(), "the second frame"),
        Column("seconds", pa.float32(), "from one to the other"),
        Column("total", pa.float32(), "mean motion of the picture, widths a second"),
        Column("p90", pa.float32(), "90th percentile of motion, widths a second"),
        Column("cam_x", pa.float32(), "the camera to the right, widths a second"),
        Column("cam_y", pa.float32(), "the camera upwards, widths a second"),
        Column("zoom", pa.float32(), "growth of the picture a second, as its logarithm"),
        Column("roll", pa.float32(), "turn of the camera counter-clockwise, radians a second"),
        Column("subject", pa.float32(), "mean motion that the camera does not explain, widths a second"),
        Column("subject_p95", pa.float32(), "95th percentile of the same"),
        Column("subject_area", pa.float32(), "share of the picture where it is above 0.05 widths a second", 0, 1),
        Column("inliers", pa.float32(), "share of the picture that moves as the camera explains", 0, 1),
    ),
)
STILLS = ChildTable(
    "stills",
    "still",
    "Two frames a second, on which the metrics and models of images run.",
    (
        Column("n", pa.int32(), "ordinal of the frame"),
        Column("pts", pa.int64(), "when it is shown, in units of samples.time_base"),
        Column("blur", pa.float32(), "mean absolute Laplacian of luma: the less, the more blurred"),
        Column("comb", pa.float32(), "energy from line to line over that to the second line; above 1.2 two fields"),
        Column(
            "blockiness",
            pa.float32(),
            "how much larger steps between neighbouring pixels of luma are on the borders of blocks of 8 x 8 than elsewhere, "
            "levels; about 0 without blocks",
        ),
        Column("phash", pa.uint64(), "perceptual hash (DCT)"),
        Column("phash_mirrored", pa.uint64(), "the same of the mirrored picture"),
    ),
    version="2",
)
SOUND = ChildTable(
    "sound",
    "tenth",
    "Level of the sound in each tenth of a second, mono or stereo as clips get it; none for a film without sound.",
    (
        Column("n", pa.int32(), "tenths of a second since the first frame"),
        Column("heard", pa.float32(), "share of it for which the film has sound", 0, 1),
        Column("rms_db", pa.float32(), "root mean square of its samples, dB below full scale; null in digital silence"),
        Column("peak_db", pa.float32(), "largest sample, dB below full scale; null in digital silence"),
        Column("loudness", pa.float32(), "loudness by ITU-R BS.1770-4 without gates, LUFS; null in digital silence"),
    ),
)
DECODED = ChildTable(
    "decoded",
    "sample",
    "What decoding a whole film told about it.",
    (
        Column("frames_decoded", pa.int64(), "frames that the decoder showed", 1),
        Column("damaged_from", pa.list_(pa.int64()), "first frame of each damaged span"),
        Column("damaged_to", pa.list_(pa.int64()), "last frame of each damaged span"),
        Column("size_changes", pa.int32(), "times that the size of the picture changes", 0),
        Column("crop_top", pa.int32(), "rows of a dark bar, as stored", 0),
        Column("crop_bottom", pa.int32(), "rows of a dark bar, as stored", 0),
        Column("crop_left", pa.int32(), "columns of a dark bar, as stored", 0),
        Column("crop_right", pa.int32(), "columns of a dark bar, as stored", 0),
        Column("comb", pa.float32(), "median of stills.comb, after fields were turned into frames", 0),
        Column(
            "is_interlaced",
            pa.bool_(),
            "whether its frames are of two fields, by their flag or by their lines; they were turned into frames before anything "
            "was measured",
        ),
        Column("repeat_share", pa.float32(), "share of frames that repeat the one before", 0, 1),
        Column("unique_fps", pa.float64(), "different frames a second"),
        Column("cadence", pa.string(), "the two most common numbers of equal frames in a row, 2:3 for film at 60"),
        Column(
            "notes",
            pa.list_(pa.string()),
            "worth knowing, and told by decoding alone: damaged, interlaced, text_in_bar",
        ),
        Column("content_hash", pa.string(), "32 hex digits of what was decoded: the same after a remux"),
        Column("decoder", pa.string(), "the codec, and the version of FFmpeg's libavcodec that decoded it"),
    ),
    version="3",
)
TABLES = (FRAMES, STEPS, STILLS, SOUND, DECODED)
"""``decoded`` is last: a film with a row in it has its rows in all of them."""
