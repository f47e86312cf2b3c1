{{ config(tags=['subset']) }}

-- What a model that learnt from three raters finds good enough to train on.
select
    samples.sample_id,
    samples.uri,
    quality.score as quality
from {{ source('degraded', 'samples') }} as samples
left join {{ source('degraded', 'technical_quality') }} as quality using (sample_id)
where samples.status = 'ok'  -- decodable, first copy
    and quality.status = 'ok'  -- scored by a promoted model
    and quality.score >= {{ var('min_quality') }}  -- good enough
