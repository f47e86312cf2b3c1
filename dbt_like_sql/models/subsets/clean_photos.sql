{{ config(tags=['subset']) }}

select
    clean.*,
    style.confidence as style_confidence
from {{ ref('clean') }} as clean
left join {{ source('demo', 'style') }} as style using (sample_id)
where style.status = 'ok'  -- scored by a promoted classifier
    and style.label = 'photo'  -- the classifier says photo
    and style.confidence >= {{ var('min_confidence') }}  -- and is sure
