"""The columns of ``samples`` that films have, and the names of their notes.

Belongs here: names, types and descriptions. Does not belong here: how the values are found (``probe.py``). Every
process imports this module.
"""

import pyarrow as pa

from arot_assets.columns import Column

COLUMNS = (
    Column("container", pa.string(), "FFmpeg's name of the container format: mov, matroska, mpegts …"),
    Column("codec", pa.string(), "of the chosen video stream: h264, hevc, av1 …"),
    Column("pix_fmt", pa.string(), "pixel format of the stream: yuv420p, yuv420p10le …"),
    Column("bit_depth", pa.int32(), "bits per component"),
    Column("width", pa.int64(), "pixels as shown: after rotation, with square pixels"),
    Column("height", pa.int64(), "pixels as shown: after rotation, with square pixels"),
    Column("coded_width", pa.int64(), "pixels of a row as stored"),
    Column("coded_height", pa.int64(), "rows as stored"),
    Column(
        "rotation",
        pa.int32(),
        "degrees counter-clockwise by which stored frames are turned to be shown: 0, 90, 180, 270",
    ),
    Column("mirrored", pa.bool_(), "whether stored frames are mirrored left to right before they are turned"),
    Column("sar", pa.string(), "sample aspect ratio, width:height of a stored pixel"),
    Column("time_base", pa.string(), "unit of every PTS, in seconds, as a fraction"),
    Column("first_pts", pa.int64(), "PTS of the first frame shown, in units of time_base"),
    Column("last_pts", pa.int64(), "PTS of the last frame, in units of time_base"),
    Column("end_pts", pa.int64(), "when the last frame ends, in units of time_base"),
    Column("seconds", pa.float64(), "from the start of the first frame to the end of the last"),
    Column("frames_expected", pa.int64(), "frames that a decoder shows: packets that hold data and are not discarded"),
    Column("frames_header", pa.int64(), "frames promised by the container; null if it promises none"),
    Column("discarded", pa.int64(), "packets that an edit list hides"),
    Column("avg_fps", pa.float64(), "frames per second over the whole film, from PTS"),
    Column("r_fps", pa.string(), "frame rate named by the container, as a fraction"),
    Column("median_fps", pa.float64(), "1 / median of the steps between PTS"),
    Column(
        "is_vfr", pa.bool_(), "variable frame rate: over 2 % of the steps differ from the median by over 10 % and 2 ms"
    ),
    Column("largest_gap_s", pa.float64(), "longest step between two frames, in seconds"),
    Column("keyframes", pa.int64(), "packets from which decoding can start"),
    Column("max_gop", pa.int64(), "most packets from one key frame to the next"),
    Column("bit_rate", pa.float64(), "of the video stream, bits per second"),
    Column("full_range", pa.bool_(), "whether luma covers 0-255 instead of 16-235"),
    Column("colour_primaries", pa.string(), "as tagged: bt709, bt2020 …; null if untagged"),
    Column("colour_transfer", pa.string(), "as tagged: bt709, smpte2084 …; null if untagged"),
    Column("colour_matrix", pa.string(), "as tagged: bt709, smpte170m …; null if untagged"),
    Column("hdr", pa.string(), "pq | hlg; null for standard dynamic range"),
    Column("interlaced_flag", pa.bool_(), "whether the first frame is flagged as interlaced"),
    Column("n_video_streams", pa.int32(), "video streams, without cover pictures"),
    Column("has_cover", pa.bool_(), "whether there is a cover picture"),
    Column("audio_codec", pa.string(), "of the first audio stream; null without sound"),
    Column("audio_rate", pa.int32(), "samples per second"),
    Column("audio_channels", pa.int32(), "channels of the first audio stream"),
    Column("audio_start_s", pa.float64(), "start of the sound, in seconds after the first frame"),
    Column("audio_seconds", pa.float64(), "length of the sound"),
)

EXTENSIONS = frozenset(
    ".mp4 .m4v .mov .mkv .webm .avi .ts .m2ts .mts .mpg .mpeg .vob .flv .f4v .ogv .wmv .asf .3gp .3g2 .mxf".split()
)
"""Objects that are included; what their content is decides the rest."""

CONTAINERS = {
    "mov": ".mp4 .m4v .mov .f4v .3gp .3g2",
    "matroska": ".mkv .webm",
    "avi": ".avi",
    "mpegts": ".ts .m2ts .mts",
    "mpeg": ".mpg .mpeg .vob",
    "mpegvideo": ".mpg .mpeg",
    "flv": ".flv .f4v",
    "ogg": ".ogv",
    "asf": ".wmv .asf",
    "mxf": ".mxf",
}
"""The containers that are opened, and the extensions that go with each. FFmpeg's other formats (playlists, lists of
files to join, devices, image sequences) are refused, because they can read other files of this machine."""

DAMAGED = "damaged"
EDIT_LIST = "edit_list"
EXTENSION_MISMATCH = "extension_mismatch"
GAP = "gap"
HDR = "hdr"
INTERLACED = "interlaced"
PTS_GOES_BACK = "pts_goes_back"
SEVERAL_STREAMS = "several_streams"
TEXT_IN_BAR = "text_in_bar"
COVER = "cover"
TRUNCATED = "truncated"
COLOUR_UNTAGGED = "colour_untagged"
VFR = "vfr"

NOTES = {
    EXTENSION_MISMATCH: "the extension belongs to another container than the content",
    VFR: "variable frame rate: use PTS, not frame numbers",
    EDIT_LIST: "an edit list hides frames, which are not shown and not counted",
    GAP: "a step in time of more than half a second, and of four ordinary ones",
    PTS_GOES_BACK: "time stamps go back: pieces that were joined",
    TRUNCATED: "the data end early; what is there is used",
    SEVERAL_STREAMS: "several video streams; the default one counts, or else the largest",
    COVER: "a cover picture, which is passed over",
    COLOUR_UNTAGGED: "no tag of the colour matrix: BT.709 from 720 lines on, else BT.601",
    HDR: "high dynamic range, which is tone-mapped",
    INTERLACED: "flagged as interlaced; fields are made into frames first",
}
"""Notes of ``samples``, which are told without decoding."""
NOTES_OF_DECODED = {
    DAMAGED: "a packet was refused; the frames from there to the next key frame are marked, and belong to no clip",
    INTERLACED: "frames of two fields, by their flag or by their lines; they were made into frames first",
    TEXT_IN_BAR: "something brighter, subtitles as a rule, stands in a dark bar",
}
"""Notes of ``decoded``."""
