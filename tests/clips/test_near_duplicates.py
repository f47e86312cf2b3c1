"""Clips that show nearly the same are found wherever they begin, and also mirrored."""

from tests.clips.conftest import ClipsOfFilms

PICTURES = """with stills as (
    select n, hash(n) as bits, hash(n + 1000) as mirrored from range(40) as r(n)
)
{% for clip, first, last, noise in [('a', 0, 10, 0), ('b', 4, 12, 1), ('c', 20, 30, 0), ('d', 9, 30, 0)] %}
select '{{ clip }}' as clip_id, list(xor(bits, {{ noise }}::ubigint) order by n) as fingerprint, list(mirrored order by n) as fingerprint_mirrored
from stills where n between {{ first }} and {{ last }} union all
{% endfor %}
select 'e', list(mirrored order by n), list(bits order by n) from stills where n between 20 and 30
"""


def test_shifted_mirrored_and_re_encoded_clips_are_pairs(of_films: ClipsOfFilms) -> None:
    of_films.build({"pictures": PICTURES, "pairs": "select * from {{ clip_duplicates(ref('pictures')) }}"})
    found = of_films.rows("select clip_id, other_id, bits, shift_s, overlap, mirrored from main.pairs order by all")
    assert found == [
        ("a", "b", 1.0, 2.0, 7, False),
        ("c", "d", 0.0, -5.5, 11, False),
        ("c", "e", 0.0, 0.0, 11, True),
        ("d", "e", 0.0, 5.5, 11, True),
    ]
