-- How long captions are, in words: short ones need a captioner, long ones are cut by a text encoder of 77 tokens.
with words as (
    select coalesce(len(regexp_extract_all(caption, '\S+')), 0) as words
    from {{ source('demo', 'samples') }}
    where status = 'ok'
)

select
    case
        when words = 0 then 'none'
        when words <= 2 then '1-2'
        when words <= 5 then '3-5'
        when words <= 20 then '6-20'
        when words <= 50 then '21-50'
        else 'over 50'
    end as length,
    min(words) as shortest,
    max(words) as longest,
    count(*) as samples
from words
group by length
order by shortest
