"""What a report asks of images, as data.

Belongs here: conditions on the columns of images and on image metrics, with the reason for each threshold. Does not belong here:
what is asked of every medium (``report/questions.py``).

Users copy the SQL of a question and change its threshold. The thresholds were derived from the licensed sample images of this
project: ``sharpness`` below 5 holds for 12 of 12 photos blurred by 2 pixels (sigma, at 336 pixels) and for none of their
originals (21 and more), ``blockiness`` above 4 for 35 of 36 at JPEG quality 15 and below (originals: at most 1.4),
``noise_sigma`` above 12 for noise of 30 gray levels (originals: at most 10.9).
"""

from arot_assets.media.question import QualityQuestion, unsupported

CV2, PHASH = "cv2", "phash"
_SIZE = "width || ' x ' || height"
_DETAIL = 16
"""Minimum shorter side in pixels; below it a measure of detail means nothing."""

QUESTIONS = (
    unsupported("drawings, videos, measurements, images above the limit in megapixels"),
    QualityQuestion(
        "same-look",
        "images that look the same as an earlier one: equal perceptual hashes",
        "sample_id in (select sample_id from {dataset}.samples join {dataset}.phash using (sample_id) "
        "where samples.status = 'ok' and phash is not null "
        "qualify row_number() over (partition by phash order by width * height desc, uri) > 1)",
        "phash.phash",
        "format('{:016x}', phash.phash)",
        "keep the largest of each group, as the example model distinct_pictures does",
        table=PHASH,
    ),
    QualityQuestion(
        "tiny",
        "images whose shorter side is below 256 pixels",
        "least(width, height) < 256",
        "least(width, height)",
        _SIZE,
        "too small for any trainer's bucket without upscaling: leave them out",
    ),
    QualityQuestion(
        "odd-shaped",
        "images whose longer side is more than 3 times the shorter",
        "greatest(width, height) > 3 * least(width, height)",
        "greatest(width, height) / least(width, height) desc",
        _SIZE,
        "most trainers' buckets end at 1:2 or 1:3 and the rest is cropped away: crop them yourself, or leave them out",
    ),
    QualityQuestion(
        "dark",
        "dark images: a mean gray level below 40 of 255",
        "brightness < 40",
        "brightness",
        "'brightness ' || round(brightness, 1)",
        "these include night scenes: look before you leave them out",
        table=CV2,
    ),
    QualityQuestion(
        "bright",
        "bright images: a mean gray level above 240 of 255",
        "brightness > 240",
        "brightness desc",
        "'brightness ' || round(brightness, 1)",
        "often drawings on an empty page: crop them, or leave them out",
        table=CV2,
    ),
    QualityQuestion(
        "blurry",
        "blurry images: sharpness below 5",
        f"sharpness < 5 and least(width, height) >= {_DETAIL}",
        "sharpness",
        "'sharpness ' || round(sharpness, 1)",
        "these include plain drawings and skies: look before you leave them out",
        table=CV2,
    ),
    QualityQuestion(
        "low-information",
        "images of nearly one tone: entropy below 0.5 bits",
        "entropy < 0.5",
        "entropy",
        "'entropy ' || round(entropy, 2)",
        "blank pages, placeholders, failed renderings",
        table=CV2,
    ),
    QualityQuestion(
        "blocky",
        "images with visible JPEG blocks: blockiness above 4",
        "blockiness > 4",
        "blockiness desc",
        "'blockiness ' || round(blockiness, 1)",
        "compressed at a quality of about 15 or less: look for a better copy",
        table=CV2,
    ),
    QualityQuestion(
        "noisy",
        "noisy images: noise_sigma above 12 gray levels",
        "noise_sigma > 12",
        "noise_sigma desc",
        "'noise ' || round(noise_sigma, 1)",
        "fine texture counts as noise: look before you leave them out",
        table=CV2,
    ),
    QualityQuestion(
        "bars",
        "images with bars or margins over more than a tenth of a side",
        "greatest(border_top, border_bottom, border_left, border_right) > 0.1",
        "border_top + border_bottom + border_left + border_right desc",
        "'margins ' || round(100 * greatest(border_top, border_bottom, border_left, border_right))::int || ' %'",
        "generators learn bars: crop them away",
        table=CV2,
    ),
)
