{{ config(tags=['subset']) }}

select
    clean.*,
    -- a title where there is one, then the tags: what exports train
    {{ training_caption("[clean.caption, " ~ caption_of_tags("clean.tags") ~ "]") }} as training_caption,
    style.confidence as style_confidence
from {{ ref('clean') }} as clean
left join {{ source('demo', 'style') }} as style using (sample_id)
where style.status = 'ok'  -- scored by a promoted classifier
    and style.label = 'photo'  -- the classifier says photo
    and style.confidence >= {{ var('min_confidence') }}  -- and is sure
