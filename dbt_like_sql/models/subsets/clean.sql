{{ config(tags=['subset']) }}

-- Samples that any training run could use. Each line of the WHERE is one step of the waterfall.
select
    samples.sample_id,
    samples.uri,
    samples.width,
    samples.height,
    samples.caption,
    samples.tags,
    cv2.sharpness,
    cv2.contrast,
    cv2.brightness,
    cv2.colourfulness
from {{ source('demo', 'samples') }} as samples
left join {{ source('demo', 'cv2') }} as cv2 using (sample_id)
where samples.status = 'ok'  -- decodable, first copy
    and cv2.status = 'ok'  -- measured
    and least(samples.width, samples.height) >= {{ var('min_side') }}  -- large enough
    and greatest(samples.width, samples.height) <= {{ var('max_aspect') }} * least(samples.width, samples.height)  -- no banner
    and cv2.contrast >= {{ var('min_contrast') }}  -- not blank
    and cv2.sharpness >= {{ var('min_sharpness') }}  -- not blurry
    and cv2.brightness between {{ var('min_brightness') }} and {{ var('max_brightness') }}  -- neither black nor white
    and not cv2.is_grayscale  -- in colour
