{{ config(tags=['subset']) }}

-- What models say instead of folders: it waits while their tables are not there (`arot models fetch`).
select
    clean.*,
    real_or_drawn.p_photo,
    open_nsfw.score as p_unsafe
from {{ ref('clean') }} as clean
left join {{ source('demo', 'real_or_drawn') }} as real_or_drawn using (sample_id)
left join {{ source('demo', 'open_nsfw') }} as open_nsfw using (sample_id)
left join {{ source('demo', 'faces') }} as faces using (sample_id)
where real_or_drawn.status = 'ok'  -- told from a drawing
    and open_nsfw.status = 'ok'  -- judged for work
    and faces.status = 'ok'  -- searched for faces
    and real_or_drawn.p_photo >= {{ var('min_photo') }}  -- a photo, not a drawing
    and open_nsfw.score <= {{ var('max_unsafe') }}  -- safe for work
    and len(list_filter(faces.faces, lambda face: face.score >= {{ var('sure_face') }})) = 0  -- nobody to recognise
