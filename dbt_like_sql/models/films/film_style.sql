select * from {{ clip_aggregate(ref('film_clips'), source('films', 'style'), 'p_photo') }}
