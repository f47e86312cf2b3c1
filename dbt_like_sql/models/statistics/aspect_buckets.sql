-- How the clean samples spread over some of the resolutions that SDXL was trained in (all near 1024 x 1024 pixels; Podell et
-- al. 2023, arXiv 2307.01952, appendix). A sample goes to the nearest ratio, in logarithms.
with buckets(bucket_width, bucket_height) as (
    values (704, 1408), (832, 1216), (896, 1152), (1024, 1024), (1152, 896), (1216, 832), (1344, 768), (1536, 640)
),

nearest as (
    select
        clean.sample_id,
        arg_min(
            {'width': bucket_width, 'height': bucket_height},
            abs(ln(clean.width / clean.height) - ln(bucket_width / bucket_height))
        ) as bucket
    from {{ ref('clean') }} as clean
    cross join buckets
    group by clean.sample_id
)

select
    bucket.width as bucket_width,
    bucket.height as bucket_height,
    count(*) as samples,
    round(count(*) / sum(count(*)) over (), 4) as share
from nearest
group by bucket
order by samples desc, bucket_width
