"""AVIF and HEIC: the boxes of an ISO media file.

Belongs here: whether all boxes are present; size and properties come from the decoders' own header parsers.
Does not belong here: AV1 and HEVC. Source: ISO/IEC 14496-12 (boxes), 23008-12 (HEIF).
"""

from arot_assets.media.image.formats.exif import read_exif
from arot_assets.media.image.formats.header import Header, corrupt
from arot_assets.media.image.formats.pillow import load_heif, load_whole, open_heif, open_image


def read_heif(data: bytes, header: Header, whole: bool) -> None:
    """Fill the header; every box must end inside the file, and if the last box has no length, the file is decoded to be
    checked."""
    open_ended = _check_boxes(data, header)
    if header.format == "HEIC":
        heif = open_heif(data, header)
        header.mode, info, header.n_frames = heif.mode, heif.info, len(heif)
        header.has_alpha = heif.has_alpha
        if whole and open_ended:
            load_heif(heif, header)
    else:
        with open_image(data, header) as image:
            header.mode, info, header.n_frames = image.mode, image.info, getattr(image, "n_frames", 1)
            header.has_alpha = image.has_transparency_data
            if whole and open_ended:
                load_whole(image, header)
    header.icc, header.exif = info.get("icc_profile") or None, info.get("exif") or None
    if header.exif:
        orientation, texts = read_exif(header.exif)
        header.texts.update(texts)
        header.orientation = (
            1 if header.format == "HEIC" else orientation
        )  # libheif has applied the orientation already


def _check_boxes(data: bytes, header: Header) -> bool:
    """Walk the top-level boxes; returns whether the last one is open-ended."""
    at, kinds = 0, set[bytes]()
    while at < len(data):
        if at + 8 > len(data):
            break
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if length == 1:
            length = int.from_bytes(data[at + 8 : at + 16], "big")
        kinds.add(kind)
        if length == 0 and b"meta" in kinds:
            return True
        if length < 8 or at + length > len(data):
            if b"mdat" in kinds - {kind} and not (kind.isascii() and kind.isalnum()):
                break
            raise corrupt(f"{header.format} cut short or damaged: box {kind!r} at byte {at} reaches beyond the end")
        at += length
    if b"meta" not in kinds and b"moov" not in kinds:
        raise corrupt(f"{header.format} without a description of its image (meta box): cut short or damaged")
    if at < len(data):
        header.note("trailing_data")
    return False
