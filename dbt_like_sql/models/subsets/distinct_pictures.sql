{{ config(tags=['subset']) }}

-- One sample of each image: equal perceptual hashes, mirrored or not, are one image, and the largest copy stays.
-- Hashes a few bits apart count as different here.
select clean.*
from {{ ref('clean') }} as clean
left join {{ source('demo', 'phash') }} as phash using (sample_id)
where phash.status = 'ok'  -- hashed
qualify row_number() over (
    partition by least(phash.phash, phash.mirrored)
    order by clean.width * clean.height desc, clean.sample_id
) = 1  -- largest copy of an image
