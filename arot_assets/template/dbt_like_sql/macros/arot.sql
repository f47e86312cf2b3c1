{# The macros of the catalogue for SQL models; written by `python docs/macros.py`, do not edit.
   Those that give rows take two relations: source('demo', 'wd_tagger') and source('tags', 'wd_tagger'). #}

{# Every stored tag of every sample: sample_id, tag, category, probability, and the published threshold (or null). #}
{% macro tag_rows(scores, tag_list) -%}
(select p.sample_id, t.name as tag, t.category, p.probability, t.threshold
from (select sample_id, unnest(tags) as id, unnest(probabilities) as probability
    from {{ scores }} where status = 'ok') p
join {{ tag_list }} t on t.id = p.id)
{%- endmacro %}

{# A row for every sample: its tags whose probability reaches the threshold of their category, characters first, then copyrights, then the rest, the most probable first. A category without a threshold has the published one, of each tag where there is one for each, else 0.35. A tag without a category is general. Ratings are left out. #}
{% macro tags_above(scores, tag_list, min_general=none, min_character=none, min_copyright=none) -%}
(select s.sample_id, coalesce(f.tags, []::varchar[]) as tags
from {{ scores }} s
left join (
    select p.sample_id, list(t.name order by
        case t.category when 'character' then 0 when 'copyright' then 1 else 2 end, p.probability desc, t.name) as tags
    from (select sample_id, unnest(tags) as id, unnest(probabilities) as probability
    from {{ scores }} where status = 'ok') p
    join {{ tag_list }} t on t.id = p.id
    where t.category is distinct from 'rating' and p.probability >= coalesce(case coalesce(t.category, 'general') when 'general' then {{ 'null' if min_general is none else min_general }}
        when 'character' then {{ 'null' if min_character is none else min_character }} when 'copyright' then {{ 'null' if min_copyright is none else min_copyright }} end, t.threshold, 0.35)::float
    group by p.sample_id
) f on f.sample_id = s.sample_id
where s.status = 'ok')
{%- endmacro %}

{# A row for every sample: its most probable rating with the probability; both null if none reached the floor. #}
{% macro ratings(scores, tag_list) -%}
(select s.sample_id, r.rating, r.probability
from {{ scores }} s
left join (
    select p.sample_id, arg_max(t.name, p.probability) as rating, max(p.probability) as probability
    from (select sample_id, unnest(tags) as id, unnest(probabilities) as probability
    from {{ scores }} where status = 'ok') p
    join {{ tag_list }} t on t.id = p.id
    where t.category = 'rating'
    group by p.sample_id
) r on r.sample_id = s.sample_id
where s.status = 'ok')
{%- endmacro %}

{# A list of tags without those that match a pattern of a list: names, with * and ?. #}
{% macro without_tags(tags, patterns) -%}
list_filter({{ tags }}, lambda tag: not list_bool_or(list_append(list_transform({{ patterns }}, lambda p: tag glob p), false)))
{%- endmacro %}

{# A list of tags without those that another of its tags implies; implications is a map: tag -> list of tags. #}
{% macro drop_implied(tags, implications) -%}
list_filter({{ tags }}, lambda tag: not list_contains(flatten(list_transform({{ tags }}, lambda other: coalesce({{ implications }}[other], []))), tag))
{%- endmacro %}

{# A list of tags, then those that they imply and are not there yet, by name; implications is a map: tag -> list of tags. #}
{% macro add_implied(tags, implications) -%}
list_concat({{ tags }}, list_filter(list_sort(list_distinct(flatten(list_transform({{ tags }}, lambda other: coalesce({{ implications }}[other], []))))), lambda tag: not list_contains({{ tags }}, tag)))
{%- endmacro %}

{# A list of tags in another order: those of a list first, in its order, then the rest as they are. #}
{% macro tags_first(tags, wanted) -%}
list_concat(list_filter({{ wanted }}, lambda tag: list_contains({{ tags }}, tag)), list_filter({{ tags }}, lambda tag: not list_contains({{ wanted }}, tag)))
{%- endmacro %}

{# The caption that trainers read: tags joined by a comma and a space, with spaces for underscores, but in emoticons. #}
{% macro caption_of_tags(tags) -%}
array_to_string(list_transform({{ tags }}, lambda tag: case when list_contains(string_split('0_0 (o)_(o) +_+ +_- ._. <o>_<o> <|>_<|> =_= >_< 3_3 6_9 >_o @_@ ^_^ o_o u_u x_x |_| ||_||', ' '), tag) then tag else replace(tag, '_', ' ') end), ', ')
{%- endmacro %}

{# The caption that is trained: texts of a list joined by a comma and a space, without those that are null or empty; null if none is left. Trigger words first: training_caption(['mystyle', caption_of_tags(tags), caption]). #}
{% macro training_caption(parts) -%}
nullif(array_to_string(list_filter(list_transform({{ parts }}, lambda part: trim(part)), lambda part: part <> ''), ', '), '')
{%- endmacro %}

{# The word for a score: the first of a list whose limit the score reaches, the last if it reaches none; words are one more than the limits, which fall: quality_word(score, [0.8, 0.5], ['best quality', 'good quality', 'low quality']). #}
{% macro quality_word(score, limits, words) -%}
{{ words }}[1 + len(list_filter({{ limits }}, lambda least: {{ score }} < least))]
{%- endmacro %}

{# A list of tags with a backslash before each parenthesis, for trainers that read weights in them. #}
{% macro escaped_tags(tags) -%}
list_transform({{ tags }}, lambda tag: replace(replace(tag, '(', '\('), ')', '\)'))
{%- endmacro %}

{# How far two lists of tags agree, 0-1: tags of both as a share of the tags of either; 1 if neither has any. Taggers write one tag in several ways: Long_Hair and long hair are the same. #}
{% macro tag_agreement(tags, others) -%}
case when len({{ tags }}) + len({{ others }}) = 0 then 1.0 else len(list_intersect(list_transform({{ tags }}, lambda tag: lower(replace(tag, '_', ' '))), list_transform({{ others }}, lambda tag: lower(replace(tag, '_', ' ')))))::double / len(list_distinct(list_transform(list_concat({{ tags }}, {{ others }}), lambda tag: lower(replace(tag, '_', ' '))))) end
{%- endmacro %}

{# The cosine similarity of two stored vectors, -1 to 1. #}
{% macro cosine(a, b) -%}
list_cosine_similarity({{ a }}, {{ b }})
{%- endmacro %}
