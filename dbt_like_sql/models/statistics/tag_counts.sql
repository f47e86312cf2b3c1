-- Which tags there are, and how often: the list to choose training tags and blacklists from.
with tagged as (
    select
        sample_id,
        lower(trim(unnest(list_distinct(tags)))) as tag
    from {{ source('demo', 'samples') }}
    where status = 'ok'
),

total as (
    select count(*) as samples
    from {{ source('demo', 'samples') }}
    where status = 'ok'
)

select
    tagged.tag,
    count(distinct tagged.sample_id) as samples,
    round(count(distinct tagged.sample_id) / any_value(total.samples), 4) as share
from tagged
cross join total
where tagged.tag <> ''
group by tagged.tag
order by samples desc, tag
