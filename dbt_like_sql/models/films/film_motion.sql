select * from {{ clip_motion(ref('film_clips'), source('films', 'steps')) }}
