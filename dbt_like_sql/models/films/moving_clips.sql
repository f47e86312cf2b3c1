{{ config(tags=['subset']) }}
select samples.sample_id, motion.camera_kind, 'a clip with the camera ' || motion.camera_kind as caption
from {{ source('clips', 'samples') }} as samples
join {{ source('clips', 'cut') }} as cut on cut.sample_id = samples.sample_id
join {{ ref('film_motion') }} as motion on motion.clip_id = cut.clip_id
left join {{ ref('film_style') }} as style on style.clip_id = cut.clip_id
where samples.status = 'ok'           -- decodable, first copy
    and cut.status = 'ok'             -- a file that is proved
    and cut.frames_written = 17       -- long enough for the trainer's bucket
    and motion.camera_mean < 1.5      -- no whip pans
    and style.p_photo_mean >= 0.5     -- more photo than drawing, in the mean of its stills
