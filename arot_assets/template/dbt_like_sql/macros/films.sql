{# Macros over the tables of a dataset of films: boundaries of shots, clips, and what is known of a clip. Nothing here decodes: another
   threshold is another query. They take relations, source('films', 'frames') and the like, and give rows. #}

{# Frames with what the rules of boundaries look at: step (change of the picture in gray levels), ratio (to the four frames around),
   seconds since the frame before. #}
{% macro frame_changes(frames, samples) -%}
(select *, step / greatest(around / 4, 0.5) as ratio from (
    select f.sample_id, f.n, f.pts, f.d_y, f.std_y, f.mean_y, f.similarity, f.comes_back, f.changed, f.worst_block, f.resized, f.damaged,
        f.linear_change, f.linear_residual, f.linear_corr,
        (f.d_y + 2 * (f.d_u + f.d_v)) / 2 as step,
        coalesce(lag((f.d_y + 2 * (f.d_u + f.d_v)) / 2, 1) over w, 0) + coalesce(lag((f.d_y + 2 * (f.d_u + f.d_v)) / 2, 2) over w, 0)
            + coalesce(lead((f.d_y + 2 * (f.d_u + f.d_v)) / 2, 1) over w, 0)
            + coalesce(lead((f.d_y + 2 * (f.d_u + f.d_v)) / 2, 2) over w, 0) as around,
        max((f.d_y + 2 * (f.d_u + f.d_v)) / 2) over (w rows between 2 preceding and 2 following) as peak,
        (f.pts - lag(f.pts) over w) * split_part(s.time_base, '/', 1)::double / split_part(s.time_base, '/', 2)::double as passed,
        1 / s.median_fps as usual,
        f.std_y < lag(f.std_y) over w - 0.5 as falls,
        f.std_y > lag(f.std_y) over w + 0.5 as rises
    from {{ frames }} f join {{ samples }} s using (sample_id)
    where s.status = 'ok' and f.status = 'ok'
    window w as (partition by f.sample_id order by f.n)
))
{%- endmacro %}

{# The boundaries of shots: sample_id, start_n, end_n, start_pts, end_pts, kind, found_by, score. Frames from start_n up to, but without, end_n
   belong to no shot; at a cut the two are equal, and the new shot begins there. Flashes, strobes and whip pans are none. scores: the
   table of TransNetV2 (`shots: on | gated` of the dataset), which adds dissolves, and cuts that the other rules miss. Variables:
   transition, transition_least, transition_frames, transition_change, shot_cut, shot_ratio, shot_similarity,
   cut_step, cut_ratio, cut_similarity, cut_comes_back, partial_similarity, dissolve_residual, dissolve_corr, dissolve_change,
   dissolve_frames, blank_contrast, blank_black, blank_white, gap_seconds, jump_step, jump_ratio, jump_similarity, jump_comes_back,
   jump_changed, jump_block. #}
{% macro boundaries(frames, samples, scores=none) -%}
(with changes as materialized (
    select *,
        max(n) filter (where not coalesce(falls, false)) over (partition by sample_id order by n) as last_level,
        min(n) filter (where not coalesce(rises, false)) over (
            partition by sample_id order by n rows between current row and unbounded following) as next_level
    from {{ frame_changes(frames, samples) }}
),
cuts as (
    select sample_id, n as start_n, n as end_n,
        case when similarity >= {{ var('partial_similarity', 0.6) }} then 'partial' else 'cut' end as kind, 'content' as found_by, step as score
    from changes
    where step >= {{ var('cut_step', 6) }} and step >= peak and comes_back <= {{ var('cut_comes_back', 0.9) }}
        and ((ratio >= {{ var('cut_ratio', 3) }} and similarity < {{ var('cut_similarity', 0.9) }})
            or (ratio >= {{ var('cut_ratio', 3) }} / 1.5 and similarity < 0.3 and comes_back < 0.3))
    union all
    -- to a picture much like the one before, out of calm: all at once, in a good part of the picture, and somewhere altogether
    select sample_id, n, n, 'partial', 'content', step from changes
    where step >= {{ var('jump_step', 3) }} and step >= peak and comes_back <= {{ var('jump_comes_back', 0.96) }}
        and similarity < {{ var('cut_similarity', 0.9) }} + {{ var('jump_similarity', 0.05) }} and ratio >= {{ var('jump_ratio', 6) }}
        and changed >= {{ var('jump_changed', 0.15) }} and worst_block >= {{ var('jump_block', 60) }}
        and not (step >= {{ var('cut_step', 6) }} and ratio >= {{ var('cut_ratio', 3) }} and comes_back <= {{ var('cut_comes_back', 0.9) }}
            and similarity < {{ var('cut_similarity', 0.9) }})
),
linear as (
    select sample_id, min(n) - 2 as start_n, max(n) + 3 as end_n, 'dissolve' as kind, 'linear' as found_by, max(linear_change) as score
    from (
        select *, n - row_number() over (partition by sample_id order by n) as run from changes
        where linear_residual <= {{ var('dissolve_residual', 0.22) }} and linear_corr >= {{ var('dissolve_corr', 0.75) }}
            and linear_change >= {{ var('dissolve_change', 10) }}
    )
    group by sample_id, run having count(*) >= {{ var('dissolve_frames', 3) }}
),
{% if scores is not none -%}
scored as (
    select c.*, coalesce(t.cut, 0) as tn, coalesce(t.transition, 0) as tn_many
    from changes c join {{ scores }} t on t.sample_id = c.sample_id and t.n = c.n
),
many as (
    -- frames of a transition: those that the second head marks, if the first sees something and the pictures around differ
    select sample_id, min(n) as start_n, max(n) + 1 as end_n, 'dissolve' as kind, 'transnet' as found_by, max(tn_many) as score
    from (
        select *, n - row_number() over (partition by sample_id order by n) as run from scored
        where tn_many > {{ var('transition', 0.25) }}
    )
    group by sample_id, run
    having count(*) >= {{ var('transition_frames', 5) }} and max(tn) >= {{ var('transition_least', 0.15) }}
        and coalesce(max(linear_change), 0) >= {{ var('transition_change', 8) }}
),
lone as (
    -- the first head marks the last frames of the old shot: the new one begins behind them
    select r.sample_id, r.next_n as start_n, r.next_n as end_n, 'cut' as kind, 'transnet' as found_by, r.score
    from (
        select sample_id, max(n) + 1 as next_n, max(tn) as score
        from (
            select *, n - row_number() over (partition by sample_id order by n) as run from scored
            where tn > {{ var('shot_cut', 0.5) }}
        )
        group by sample_id, run
    ) r
    join changes c on c.sample_id = r.sample_id and c.n = r.next_n
    where c.comes_back <= {{ var('cut_comes_back', 0.9) }} and c.ratio >= {{ var('shot_ratio', 2) }}
        and c.similarity < {{ var('shot_similarity', 0.75) }}
),
{% endif -%}
blanks as (
    select sample_id, min(n) as first_n, max(n) as last_n, avg(mean_y) as level
    from (
        select *, n - row_number() over (partition by sample_id order by n) as run from changes
        where std_y < {{ var('blank_contrast', 6) }}
    )
    group by sample_id, run
),
fades as (
    select b.sample_id, case when a.falls then a.last_level + 1 else b.first_n end as start_n,
        case when z.rises then z.next_level - 1 else b.last_n + 1 end as end_n,
        case when b.level < 128 then 'fade_black' else 'fade_white' end as kind, 'blank' as found_by, b.last_n - b.first_n + 1 as score
    from blanks b
    join changes a on a.sample_id = b.sample_id and a.n = b.first_n
    left join changes z on z.sample_id = b.sample_id and z.n = b.last_n + 1
    where not b.level between {{ var('blank_black', 40) }} and {{ var('blank_white', 215) }} and (
        b.first_n - case when a.falls then a.last_level else b.first_n end >= 3
        or case when z.rises then z.next_level - z.n else 0 end >= 3)
),
breaks as (
    select sample_id, n as start_n, n as end_n, case when resized then 'size_change' else 'gap' end as kind, 'stream' as by,
        passed as score
    from changes
    where resized or passed > greatest({{ var('gap_seconds', 0.5) }}, 4 * usual) or passed <= 0
),
damage as (
    select sample_id, min(n) as start_n, max(n) + 1 as end_n, 'damage' as kind, 'stream' as found_by, count(*)::double as score
    from (select *, n - row_number() over (partition by sample_id order by n) as run from changes where damaged)
    group by sample_id, run
),
found as (
    from damage union all from breaks union all from fades
    union all (from linear where not exists (
        from cuts where cuts.sample_id = linear.sample_id and cuts.start_n between linear.start_n and linear.end_n))
    union all from cuts
    {% if scores is not none -%}
    union all (from many where not exists (
        from cuts where cuts.sample_id = many.sample_id and cuts.start_n between many.start_n and many.end_n))
    union all (from lone where not exists (
        from many where many.sample_id = lone.sample_id and lone.start_n between many.start_n and many.end_n))
    {% endif -%}
),
grouped as (
    select *, sum(is_new) over (partition by sample_id order by start_n, end_n) as boundary from (
        select *, case when start_n > coalesce(max(end_n) over (
            partition by sample_id order by start_n, end_n rows between unbounded preceding and 1 preceding), -1)
            then 1 else 0 end as is_new
        from found
    )
),
merged as (
    select sample_id, greatest(min(start_n), 0) as start_n, max(end_n) as end_n,
        arg_min(kind, list_position(
            ['damage', 'size_change', 'gap', 'fade_black', 'fade_white', 'dissolve', 'cut', 'partial'], kind)) as kind,
        string_agg(distinct found_by, '+' order by found_by) as found_by, max(score) as score
    from grouped group by sample_id, boundary
)
select m.sample_id, m.start_n, least(m.end_n, e.n + 1) as end_n, a.pts as start_pts, coalesce(z.pts, s.end_pts) as end_pts,
    m.kind, m.found_by, m.score
from merged m
join (select sample_id, max(n) as n from changes group by sample_id) e using (sample_id)
join {{ samples }} s using (sample_id)
join changes a on a.sample_id = m.sample_id and a.n = m.start_n
left join changes z on z.sample_id = m.sample_id and z.n = m.end_n
where m.end_n > 0)
{%- endmacro %}

{# Every shot between boundaries, each once: clip_id, sample_id (of the film), uri, start_n, end_n, frames, start_pts, end_pts, seconds,
   fps (1 / median step of the film), is_vfr, width, height (as shown, with bars), before_kind, after_kind, guard_frames, status (ok | short), reason, notes. Gradual boundaries cost a frame on their side, because
   they begin and end with almost nothing. Variables: clip_seconds, cut_step, cut_ratio, cut_comes_back. #}
{% macro shots(boundaries, frames, samples) -%}
(with changes as materialized (from {{ frame_changes(frames, samples) }}),
edges as (
    select sample_id, start_n, end_n, kind from {{ boundaries }}
    union all select sample_id, -1, 0, 'start' from changes group by sample_id
    union all select sample_id, max(n) + 1, max(n) + 2, 'end' from changes group by sample_id
),
between_edges as (
    select sample_id, end_n as first_n, lead(start_n) over w as next_n, kind as before_kind, lead(kind) over w as after_kind
    from edges window w as (partition by sample_id order by start_n, end_n)
),
guarded as (
    select *, first_n + (before_kind in ('dissolve', 'fade_black', 'fade_white'))::int as start_n,
        next_n - (after_kind in ('dissolve', 'fade_black', 'fade_white'))::int as end_n
    from between_edges where next_n > first_n
),
timed as (
    select g.*, a.pts as start_pts, coalesce(z.pts, s.end_pts) as ends, s.end_pts as film_ends, s.sha256, s.time_base, s.uri as film,
        split_part(s.time_base, '/', 1)::double / split_part(s.time_base, '/', 2)::double as unit, l.pts as last_pts, s.median_fps,
        s.is_vfr, s.width, s.height
    from guarded g
    join {{ samples }} s using (sample_id)
    join changes a on a.sample_id = g.sample_id and a.n = g.start_n
    join changes l on l.sample_id = g.sample_id and l.n = g.end_n - 1
    left join changes z on z.sample_id = g.sample_id and z.n = g.end_n
    where g.end_n > g.start_n
),
ended as (
    -- a frame before a gap, or before a time stamp that goes back, lasts as long as others do
    select *, case when after_kind in ('gap', 'size_change') then last_pts + round(1 / median_fps / unit)::bigint else ends end as end_pts
    from timed
),
flashed as (
    select distinct e.sample_id, e.start_n from ended e join changes c
    on c.sample_id = e.sample_id and c.n > e.start_n and c.n < e.end_n
    where c.step >= {{ var('cut_step', 6) }} and c.ratio >= {{ var('cut_ratio', 3) }} and c.comes_back > {{ var('cut_comes_back', 0.9) }}
)
select left(sha256(concat_ws(' ', e.sha256, e.start_pts, e.end_pts, e.time_base)), 32) as clip_id, e.sample_id,
    e.film || '!/clip/' || e.start_pts || '-' || e.end_pts as uri, e.start_n::int as start_n, e.end_n::int as end_n,
    (e.end_n - e.start_n)::int as frames, e.start_pts, e.end_pts, (e.end_pts - e.start_pts) * e.unit as seconds,
    e.median_fps as fps, e.is_vfr, e.width, e.height, e.before_kind, e.after_kind,
    ((e.start_n - e.first_n) + (e.next_n - e.end_n))::int as guard_frames,
    case when (e.end_pts - e.start_pts) * e.unit >= {{ var('clip_seconds', 0.5) }} then 'ok' else 'short' end as status,
    case when (e.end_pts - e.start_pts) * e.unit < {{ var('clip_seconds', 0.5) }}
        then 'shorter than {{ var('clip_seconds', 0.5) }} s' end as reason,
    case when f.sample_id is null then []::varchar[] else ['flash'] end as notes
from ended e left join flashed f on f.sample_id = e.sample_id and f.start_n = e.start_n)
{%- endmacro %}

{# Pieces of a fixed length instead of shots, in seconds, each with `stride` seconds to the next; columns as those of shots. Pieces end
   before boundaries: give shots, whose clips are divided. #}
{% macro sections(shots, frames, samples, seconds, stride=none) -%}
(with pieces as (
    select c.* exclude (start_n, end_n, frames, start_pts, end_pts, seconds, clip_id, uri, status, reason, guard_frames),
        c.start_pts + round(k * {{ stride or seconds }} / unit)::bigint as wanted, round({{ seconds }} / unit)::bigint as lasts, c.end_pts as ends,
        c.start_n as from_n, c.end_n as to_n, s.sha256, s.time_base, s.uri as film, unit
    from {{ shots }} c
    join (select *, split_part(time_base, '/', 1)::double / split_part(time_base, '/', 2)::double as unit from {{ samples }}) s
    using (sample_id)
    cross join unnest(range(0, floor((c.seconds - {{ seconds }}) / {{ stride or seconds }} + 1e-9)::bigint + 1)) as p(k)
    where c.status = 'ok' and c.seconds >= {{ seconds }}
),
placed as (
    select p.*, min(f.n) as start_n, max(f.n) + 1 as end_n, min(f.pts) as start_pts
    from pieces p join {{ frames }} f on f.sample_id = p.sample_id
        and f.n >= p.from_n and f.n < p.to_n and f.pts >= p.wanted and f.pts < p.wanted + p.lasts
    group by all
),
whole as (
    select p.* exclude (wanted, lasts, ends, from_n, to_n), least(coalesce(z.pts, p.ends), p.ends) as end_pts
    from placed p left join {{ frames }} z on z.sample_id = p.sample_id and z.n = p.end_n
)
select left(sha256(concat_ws(' ', sha256, start_pts, end_pts, time_base)), 32) as clip_id, sample_id,
    film || '!/clip/' || start_pts || '-' || end_pts as uri, start_n::int as start_n, end_n::int as end_n,
    (end_n - start_n)::int as frames, start_pts, end_pts, (end_pts - start_pts) * unit as seconds, fps, is_vfr, width, height,
    before_kind, after_kind, 0 as guard_frames, 'ok' as status, null::varchar as reason, notes
from whole)
{%- endmacro %}

{# Motion of each clip, in widths of the picture a second: of the whole, of the camera, of the subject. camera_kind: still, pan, tilt,
   zoom, roll or handheld, from medians. shake: change of the camera's speed, widths/s². static_share: share of steps with next to none.
   steps is 0, and all else null, for a clip of fewer than two pictures 1/12 s apart. #}
{% macro clip_motion(clips, steps) -%}
(with inside as (
    select c.clip_id, s.*, sqrt(s.cam_x ^ 2 + s.cam_y ^ 2) as camera,
        lag(s.cam_x) over w as cam_x_before, lag(s.cam_y) over w as cam_y_before
    from {{ clips }} c join {{ steps }} s on s.sample_id = c.sample_id and s.n0 >= c.start_n and s.n1 < c.end_n
    window w as (partition by c.clip_id order by s.n0)
),
told as (
    select clip_id, count(*) as steps, avg(total) as total_mean, median(total) as total_p50, quantile_cont(total, 0.9) as total_p90,
        min(total) as total_min, avg(camera) as camera_mean, median(camera) as camera_p50, quantile_cont(camera, 0.9) as camera_p90,
        min(camera) as camera_min, avg(subject) as subject_mean, median(subject) as subject_p50,
        quantile_cont(subject, 0.9) as subject_p90, min(subject) as subject_min,
        avg(subject_p95) as subject_p95, avg(subject_area) as subject_area,
        median(cam_x) as pan, median(cam_y) as tilt, median(zoom) as zoom, median(roll) as roll,
        sqrt(avg(((cam_x - cam_x_before) ^ 2 + (cam_y - cam_y_before) ^ 2) / seconds ^ 2)) as shake,
        avg((total < 0.005)::int) as static_share
    from inside group by clip_id
)
select c.clip_id, coalesce(t.steps, 0) as steps, t.* exclude (clip_id, steps), case
    when t.steps is null then null
    when camera_mean < 0.02 and abs(zoom) < 0.05 and abs(roll) < 0.05 then 'still'
    when coalesce(shake, 0) > 1 then 'handheld'
    when greatest(abs(pan), abs(tilt), abs(zoom) / 2, abs(roll) / 2) < 0.02 then 'handheld'
    when abs(zoom) / 2 >= greatest(abs(pan), abs(tilt), abs(roll) / 2) then 'zoom'
    when abs(roll) / 2 >= greatest(abs(pan), abs(tilt)) then 'roll'
    when abs(pan) >= abs(tilt) then 'pan' else 'tilt' end as camera_kind
from (select distinct clip_id from {{ clips }}) c left join told t using (clip_id))
{%- endmacro %}

{# Rhythm of each clip: repeat_share and unique_fps count frames that differ from the one before; longest_still_s is the longest time
   without any change. Null for a clip of one frame. Variables: repeat_change, repeat_ratio. #}
{% macro clip_cadence(clips, frames, samples) -%}
(with inside as (
    select c.clip_id, f.n, f.d_y, list(f.d_y) over (partition by c.clip_id order by f.n rows between 5 preceding and current row) as recent,
        (f.pts - lag(f.pts) over (partition by c.clip_id order by f.n)) * split_part(s.time_base, '/', 1)::double
            / split_part(s.time_base, '/', 2)::double as passed
    from {{ clips }} c
    join {{ frames }} f on f.sample_id = c.sample_id and f.n > c.start_n and f.n < c.end_n
    join {{ samples }} s on s.sample_id = c.sample_id
),
marked as (
    select *, d_y <= greatest({{ var('repeat_change', 0.08) }},
        {{ var('repeat_ratio', 0.12) }} * coalesce(list_reverse_sort(recent)[2], 0)) as repeats
    from inside
),
runs as (
    select *, n - row_number() over (partition by clip_id, repeats order by n) as run from marked
),
told as (
    select clip_id, avg(repeats::int) as repeat_share,
        count(*) filter (where not repeats) / nullif(sum(passed), 0) * (count(passed) / count(*)) as unique_fps
    from marked group by clip_id
),
stills as (
    select clip_id, max(lasts) as longest_still_s from (
        select clip_id, sum(coalesce(passed, 0)) as lasts from runs where repeats group by clip_id, run
    ) group by clip_id
)
select c.clip_id, t.repeat_share, t.unique_fps, case when t.clip_id is not null then coalesce(s.longest_still_s, 0) end as longest_still_s
from (select distinct clip_id from {{ clips }}) c left join told t using (clip_id) left join stills s using (clip_id))
{%- endmacro %}

{# What stills tell of each clip: blur_min, blur_mean, how many, the 2 Hz fingerprint with its mirror image, and largest_change: the most
   bits by which two stills half a second apart differ. Nine of ten cuts change 24 of 63 or more, and fast pans
   do too: look at such clips. stills is 0, and all else null, for a clip between two stills. #}
{% macro clip_stills(clips, stills) -%}
(select clip_id, coalesce(t.stills, 0) as stills, t.* exclude (clip_id, stills)
from (select distinct clip_id from {{ clips }}) left join (
select clip_id, count(*) as stills, min(blur) as blur_min, avg(blur) as blur_mean, max(comb) as comb_max,
    coalesce(max(bit_count(xor(phash, before))), 0) as largest_change,
    list(phash order by n) as fingerprint, list(phash_mirrored order by n) as fingerprint_mirrored
from (
    select c.clip_id, s.n, s.blur, s.comb, s.phash, s.phash_mirrored, lag(s.phash) over (partition by c.clip_id order by s.n) as before
    from {{ clips }} c join {{ stills }} s on s.sample_id = c.sample_id and s.n >= c.start_n and s.n < c.end_n
)
group by clip_id) t using (clip_id))
{%- endmacro %}

{# An aggregate of any column that is measured on stills: clip_id, and its mean, min, p10 and max; null for a clip without such stills. #}
{% macro clip_aggregate(clips, metric, column) -%}
(select c.clip_id, avg(m.{{ column }}) as {{ column }}_mean, min(m.{{ column }}) as {{ column }}_min,
    quantile_cont(m.{{ column }}, 0.1) as {{ column }}_p10, max(m.{{ column }}) as {{ column }}_max
from {{ clips }} c left join {{ metric }} m on m.sample_id = c.sample_id and m.n >= c.start_n and m.n < c.end_n and m.status = 'ok'
group by c.clip_id)
{%- endmacro %}

{# How good the picture of each clip is. Of stills: blur (the less, the more blurred), blockiness (above 1 blocks are seen), comb_max; of
   frames: brightness (mean luma), contrast (its standard deviation), black_share and white_share (of frames, how many have 2 % or more of
   their cells at an end of the scale); of the film: crop_top, crop_bottom, crop_left, crop_right, the bars in pixels as stored.
   _mean, _min, _p10, _max are over the clip. #}
{% macro clip_quality(clips, frames, stills, decoded) -%}
(with of_stills as (
    select c.clip_id, avg(s.blur) as blur_mean, min(s.blur) as blur_min, quantile_cont(s.blur, 0.1) as blur_p10,
        avg(s.blockiness) as blockiness_mean, max(s.blockiness) as blockiness_max, max(s.comb) as comb_max
    from {{ clips }} c join {{ stills }} s on s.sample_id = c.sample_id and s.n >= c.start_n and s.n < c.end_n
    group by c.clip_id
),
of_frames as (
    select c.clip_id, avg(f.mean_y) as brightness_mean, min(f.mean_y) as brightness_min, quantile_cont(f.mean_y, 0.1) as brightness_p10,
        max(f.mean_y) as brightness_max, avg(f.std_y) as contrast_mean, min(f.std_y) as contrast_min,
        avg((f.p02_y <= 2)::int) as black_share, avg((f.p98_y >= 253)::int) as white_share, sum(f.damaged::int)::int as damaged_frames
    from {{ clips }} c join {{ frames }} f on f.sample_id = c.sample_id and f.n >= c.start_n and f.n < c.end_n
    group by c.clip_id
)
select f.*, s.* exclude (clip_id), d.crop_top, d.crop_bottom, d.crop_left, d.crop_right
from of_frames f left join of_stills s using (clip_id)
join (select distinct clip_id, sample_id from {{ clips }}) c using (clip_id) left join {{ decoded }} d on d.sample_id = c.sample_id)
{%- endmacro %}

{# Whether each clip shows one thing, from an embedding of its stills (`metrics: [embedding]`): coherence, the least cosine between two
   stills half a second apart (a cut that was missed is low), drift, the cosine between the first and the last, and the number of
   stills. Null for a clip with one still. #}
{% macro clip_coherence(clips, embedding, column='vector') -%}
(select clip_id, count(vector) as stills, min(list_cosine_similarity(vector, before)) as coherence,
    case when count(*) > 1 then list_cosine_similarity(arg_min(vector, n), arg_max(vector, n)) end as drift
from (
    select c.clip_id, m.n, m.{{ column }}::float[] as vector, lag(m.{{ column }}::float[]) over (partition by c.clip_id order by m.n) as before
    from {{ clips }} c left join {{ embedding }} m on m.sample_id = c.sample_id and m.n >= c.start_n and m.n < c.end_n and m.status = 'ok'
)
group by clip_id)
{%- endmacro %}

{# The sound of each clip: loudness (LUFS, with the gates of ITU-R BS.1770-4: parts without sound do not count), rms_db and peak_db (below
   full scale), silent_share (of its time, how much has no sound, or less than silence_db). A clip of a film without sound has
   has_sound = false, and nulls. Variable: silence_db. #}
{% macro clip_sound(clips, sound, samples) -%}
(with spans as (
    select c.clip_id, c.sample_id, s.audio_codec is not null as has_sound, (c.start_pts - s.first_pts) * unit * 10 as starts,
        (c.end_pts - s.first_pts) * unit * 10 as ends
    from {{ clips }} c
    join (select *, split_part(time_base, '/', 1)::double / split_part(time_base, '/', 2)::double as unit from {{ samples }}) s
    using (sample_id)
),
inside as (
    select p.clip_id, t.n, t.heard, t.rms_db, t.peak_db, coalesce(10 ^ (t.loudness / 10), 0) as power
    from spans p join {{ sound }} t on t.sample_id = p.sample_id and t.n + 0.5 >= p.starts and t.n + 0.5 < p.ends
),
blocks as (
    -- of 0.4 s, each begun 0.1 s after the one before
    select clip_id, avg(power) over w as power, count(*) over w as parts from inside
    window w as (partition by clip_id order by n rows between 3 preceding and current row)
),
gated as (select clip_id, power from blocks where parts = 4 and power > 10 ^ (-70 / 10)),
loud as (
    select g.clip_id, 10 * log10(avg(g.power)) as loudness
    from gated g join (select clip_id, avg(power) as power from gated group by clip_id) m using (clip_id)
    where g.power > m.power / 10 group by g.clip_id
),
levels as (
    select clip_id, 10 * log10(nullif(sum(heard * coalesce(10 ^ (rms_db / 10), 0)) / nullif(sum(heard), 0), 0)) as rms_db,
        max(peak_db) as peak_db, sum(case when coalesce(rms_db, -1000) >= {{ var('silence_db', -60) }} then heard else 0 end) as audible
    from inside group by clip_id
)
select p.clip_id, p.has_sound, l.loudness, v.rms_db, v.peak_db,
    case when p.has_sound then greatest(0, 1 - coalesce(v.audible, 0) / greatest(ceil(p.ends - 0.5) - ceil(p.starts - 0.5), 1)) end
        as silent_share
from spans p left join levels v using (clip_id) left join loud l using (clip_id))
{%- endmacro %}

{# When somebody speaks in each clip: speech_seconds and speech_share of its time, longest_speech_s (the longest span within it), and speech_cut:
   whether somebody speaks at its first or last moment, as at a cut within a sentence. voice: the table of the metric `voice`. Nulls for
   a film without sound, or whose sound is damaged. #}
{% macro clip_voice(clips, voice, samples) -%}
(with spans as (
    select c.clip_id, v.spans, (c.start_pts - s.first_pts) * unit as starts, (c.end_pts - s.first_pts) * unit as ends
    from {{ clips }} c
    join (select *, split_part(time_base, '/', 1)::double / split_part(time_base, '/', 2)::double as unit from {{ samples }}) s
        using (sample_id)
    left join {{ voice }} v on v.sample_id = c.sample_id
),
spoken as (
    select clip_id, starts, ends, unnest(spans) as span from spans
),
inside as (
    select clip_id, greatest(0, least(span['end'], ends) - greatest(span['start'], starts)) as seconds,
        (span['start'] < starts and span['end'] > starts) or (span['start'] < ends and span['end'] > ends) as is_cut
    from spoken
),
summed as (
    select clip_id, sum(seconds) as seconds, max(seconds) as longest, bool_or(is_cut) as is_cut from inside group by clip_id
)
select p.clip_id,
    case when p.spans is not null then coalesce(m.seconds, 0) end as speech_seconds,
    case when p.spans is not null then least(1, coalesce(m.seconds, 0) / nullif(p.ends - p.starts, 0)) end as speech_share,
    case when p.spans is not null then coalesce(m.longest, 0) end as longest_speech_s,
    case when p.spans is not null then coalesce(m.is_cut, false) end as speech_cut
from spans p left join summed m using (clip_id))
{%- endmacro %}

{# Whether what captions say of the camera is what was measured: sample_id, said (still, pan, tilt, zoom, roll, handheld, as named by the
   text), measured (camera_kind of clip_motion), agrees; null where the text says nothing of it. Of a pan or tilt the direction must
   agree too, if it is named. captions: a table with the column; cut: of the clips. #}
{% macro clip_camera_words(captions, column, cut, motion) -%}
(with words as (
    select sample_id, lower({{ column }}) as text from {{ captions }} where status = 'ok' and {{ column }} is not null
),
named as (
    select sample_id, text, list_filter([
        case when regexp_matches(text, '\b(still|static|stationary|fixed|locked|motionless|tripod|does not move|no (camera )?movement)\b')
            then 'still' end,
        case when regexp_matches(text, '\b(pan|pans|panned|panning|track|tracks|tracking|truck|trucks|trucking|sideways)\b') then 'pan' end,
        case when regexp_matches(text, '\b(tilt|tilts|tilted|tilting|crane|cranes|boom|pedestal)\b') then 'tilt' end,
        case when regexp_matches(text, '\b(zoom|zooms|zoomed|zooming|dolly|dollies|dollying|push(es)?[ -]in|pull(s)?[ -](out|back))\b') then 'zoom' end,
        case when regexp_matches(text, '\b(roll|rolls|rolling|rotate|rotates|rotating|rotation)\b') then 'roll' end,
        case when regexp_matches(text, '\b(handheld|hand-held|shaky|shaking|shakes|jitter|jittery|wobbl\w*)\b') then 'handheld' end
    ], k -> k is not null) as said
    from words
)
select n.sample_id, n.said, m.camera_kind as measured, case when len(n.said) > 0 and m.camera_kind is not null then
    list_contains(n.said, m.camera_kind)
        and not (m.camera_kind = 'pan' and m.pan > 0 and regexp_matches(n.text, '\bleft(ward|wards)?\b')
            and not regexp_matches(n.text, '\bright(ward|wards)?\b'))
        and not (m.camera_kind = 'pan' and m.pan < 0 and regexp_matches(n.text, '\bright(ward|wards)?\b')
            and not regexp_matches(n.text, '\bleft(ward|wards)?\b'))
        and not (m.camera_kind = 'tilt' and m.tilt > 0 and regexp_matches(n.text, '\bdown(ward|wards)?\b')
            and not regexp_matches(n.text, '\bup(ward|wards)?\b'))
        and not (m.camera_kind = 'tilt' and m.tilt < 0 and regexp_matches(n.text, '\bup(ward|wards)?\b')
            and not regexp_matches(n.text, '\bdown(ward|wards)?\b'))
    end as agrees
from named n join {{ cut }} c on c.sample_id = n.sample_id and c.status = 'ok' left join {{ motion }} m on m.clip_id = c.clip_id)
{%- endmacro %}

{# Text in each clip, from a table of text that is read on stills (`metrics: [ocr_text]`): stills read, text_share_mean and text_share_max
   (of the picture), written_share (of the stills, how many show text: near 1 for a logo or burnt-in subtitles, small for a title), the
   longest text, and lasting_text: the first line that at least half of three or more stills have. Null where no still could be read. #}
{% macro clip_text(clips, texts) -%}
(with inside as (
    select c.clip_id, t.n, t.text, t.text_share
    from {{ clips }} c join {{ texts }} t on t.sample_id = c.sample_id and t.n >= c.start_n and t.n < c.end_n and t.status = 'ok'
),
told as (
    select clip_id, count(*) as stills, avg(text_share) as text_share_mean, max(text_share) as text_share_max,
        avg((text <> '')::int) as written_share, arg_max(text, length(text)) as longest_text
    from inside group by clip_id
),
lines as (
    select clip_id, line, count(distinct n) as shown, min(n) as first_n
    from (select clip_id, n, trim(unnest(string_split(text, chr(10)))) as line from inside where text <> '')
    where line <> '' group by clip_id, line
),
lasting as (
    select l.clip_id, arg_min(l.line, l.first_n) as lasting_text
    from lines l join told t using (clip_id) where t.stills >= 3 and l.shown >= t.stills / 2 group by l.clip_id
)
select c.clip_id, coalesce(t.stills, 0) as stills, t.* exclude (clip_id, stills), l.lasting_text
from (select distinct clip_id from {{ clips }}) c left join told t using (clip_id) left join lasting l using (clip_id))
{%- endmacro %}

{# Clips that show nearly the same: clip_id, other_id (the larger of the two ids), bits (the mean distance of their stills at the best
   alignment), shift_s (how much later the same picture comes in clip_id), overlap (stills compared), mirrored. They need half of the shorter
   clip in common, and one still that agrees in a quarter of its hash. Give what clip_stills gives. Variables: duplicate_bits,
   duplicate_overlap. #}
{% macro clip_duplicates(pictures) -%}
(with stills as (
    select clip_id, k, fingerprint[k] as bits, false as turned from {{ pictures }}, unnest(range(1, len(fingerprint) + 1)) as r(k)
    union all
    select clip_id, k, fingerprint_mirrored[k], true from {{ pictures }}, unnest(range(1, len(fingerprint_mirrored) + 1)) as r(k)
),
bands as (
    select s.clip_id, s.k, s.turned, band, (s.bits >> (16 * band)) & 65535 as part
    from stills s, unnest([0, 1, 2, 3]) as r(band)
    where bit_count(s.bits) between 8 and 56  -- plain pictures resemble each other
),
candidates as (
    select distinct a.clip_id, b.clip_id as other_id, a.k - b.k as shift, b.turned
    from bands a join bands b on a.band = b.band and a.part = b.part and a.clip_id < b.clip_id
    where not a.turned
),
lengths as (select clip_id, max(k) as stills from stills group by clip_id),
compared as (
    select c.clip_id, c.other_id, c.shift, c.turned, avg(bit_count(xor(x.bits, y.bits))) as bits, count(*) as overlap
    from candidates c
    join stills x on x.clip_id = c.clip_id and not x.turned
    join stills y on y.clip_id = c.other_id and y.turned = c.turned and x.k - y.k = c.shift
    group by c.clip_id, c.other_id, c.shift, c.turned
)
select c.clip_id, c.other_id, min(c.bits) as bits, arg_min(c.shift, c.bits) / 2 as shift_s, arg_min(c.overlap, c.bits) as overlap,
    arg_min(c.turned, c.bits) as mirrored
from compared c join lengths a on a.clip_id = c.clip_id join lengths b on b.clip_id = c.other_id
where c.bits <= {{ var('duplicate_bits', 8) }}
    and c.overlap >= {{ var('duplicate_overlap', 0.5) }} * least(a.stills, b.stills)
group by c.clip_id, c.other_id)
{%- endmacro %}

{# Data test of a model of shots: the spans of each film that do not follow one another. Shots and boundaries must cover every decoded
   frame once; a gradual boundary may cost a frame on each side, its guard. #}
{% test covers_films(model, boundaries, frames) %}
with films as (
    select sample_id, count(*) as frames from {{ frames }} where status = 'ok' and n is not null group by sample_id
),
spans as (
    select sample_id, start_n, end_n, 0 as guards from {{ model }}
    union all select sample_id, start_n, end_n, (kind in ('dissolve', 'fade_black', 'fade_white'))::int from {{ boundaries }}
    union all select sample_id, 0, 0, 0 from films
    union all select sample_id, frames, frames, 0 from films
),
following as (
    select sample_id, start_n, end_n, start_n - lag(end_n) over w as missing, guards + lag(guards) over w as allowed
    from spans window w as (partition by sample_id order by start_n, end_n)
)
select sample_id, start_n, end_n, missing from following where missing < 0 or missing > allowed
{% endtest %}

{# Data test of a table of clips: clips that it lacks, and those that it has twice or should not have. #}
{% test has_each_clip(model, clips) %}
select coalesce(c.clip_id, t.clip_id) as clip_id, coalesce(t.rows, 0) as rows
from (select distinct clip_id from {{ clips }}) c
full join (select clip_id, count(*) as rows from {{ model }} group by clip_id) t on t.clip_id = c.clip_id
where c.clip_id is null or t.rows is distinct from 1
{% endtest %}
