"""SQL macros over the tables of taggers and embeddings: in the catalogue, and as dbt macros with the same text.

Belongs here: the text of every macro, once. Does not belong here: connections (``warehouse.py``), the tables that they read.

A tagger's table has ``tags``, ids of the tags above a low floor, and ``probabilities`` in the same order; ``tags.<tagger>`` has
the ``id``, ``name``, ``category`` and ``threshold`` of each tag. Thresholds are arguments of queries: another one costs no
inference.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from string import Template

DEFAULT_THRESHOLD = 0.35
"""For a tag whose category is given no threshold and whose tagger publishes none; the usual one for general tags."""
KAOMOJI = (
    "0_0 (o)_(o) +_+ +_- ._. <o>_<o> <|>_<|> =_= >_< 3_3 6_9 >_o @_@ ^_^ o_o u_u x_x |_| ||_||"  # their _ is no space
)


@dataclass(frozen=True)
class Macro:
    """A macro.

    Attributes:
        name: in SQL and in dbt.
        about: what it gives, for users.
        arguments: names, in order.
        optional: names that may be left out: null then.
        body: an expression, or a SELECT if it gives rows. ``$x`` is the argument x; ``$scores`` is the table of the tagger,
            ``$tag_list`` the list of its tags.
        rows: whether it gives rows. Its first arguments are then ``dataset, tagger``; in dbt ``scores, tag_list``, two relations.
    """

    name: str
    about: str
    body: str
    arguments: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    rows: bool = False

    def create(self) -> str:
        """The statement that creates it in DuckDB."""
        arguments = [
            *(("dataset", "tagger") if self.rows else ()),
            *self.arguments,
            *(f"{o} := null" for o in self.optional),
        ]
        tables = {"scores": "query_table(dataset || '.' || tagger)", "tag_list": "query_table('tags.' || tagger)"}
        names = {name: name for name in (*self.arguments, *self.optional)}
        body = Template(self.body).substitute(names, **(tables if self.rows else {}))
        return f"create or replace macro {self.name}({', '.join(arguments)}) as {'table ' if self.rows else ''}{body}"

    def dbt(self) -> str:
        """The same as a macro of dbt."""
        needed = [*(("scores", "tag_list") if self.rows else ()), *self.arguments]
        names = {name: f"{{{{ {name} }}}}" for name in needed}
        names |= {name: f"{{{{ 'null' if {name} is none else {name} }}}}" for name in self.optional}
        arguments = ", ".join([*needed, *(f"{name}=none" for name in self.optional)])
        body = Template(self.body).substitute(names)
        text = f"({body})" if self.rows else body
        return f"{{# {self.about} #}}\n{{% macro {self.name}({arguments}) -%}}\n{text}\n{{%- endmacro %}}\n"


_UNNESTED = """select sample_id, unnest(tags) as id, unnest(probabilities) as probability
    from $scores where status = 'ok'"""
_LEAST = ("min_general", "min_character", "min_copyright")
_THRESHOLD = f"""coalesce(case coalesce(t.category, 'general') when 'general' then $min_general
        when 'character' then $min_character when 'copyright' then $min_copyright end, t.threshold, {DEFAULT_THRESHOLD})::float"""


def _plain(tags: str) -> str:
    """Tags as all taggers would write them."""
    return f"list_transform({tags}, lambda tag: lower(replace(tag, '_', ' ')))"


MACROS = (
    Macro(
        "tag_rows",
        "Every stored tag of every sample: sample_id, tag, category, probability, and the published threshold (or null).",
        f"""select p.sample_id, t.name as tag, t.category, p.probability, t.threshold
from ({_UNNESTED}) p
join $tag_list t on t.id = p.id""",
        rows=True,
    ),
    Macro(
        "tags_above",
        "A row for every sample: its tags whose probability reaches the threshold of their category, characters first, then "
        "copyrights, then the rest, the most probable first. A category without a threshold has the published one, of each tag "
        f"where there is one for each, else {DEFAULT_THRESHOLD:g}. A tag without a category is general. Ratings are left out.",
        f"""select s.sample_id, coalesce(f.tags, []::varchar[]) as tags
from $scores s
left join (
    select p.sample_id, list(t.name order by
        case t.category when 'character' then 0 when 'copyright' then 1 else 2 end, p.probability desc, t.name) as tags
    from ({_UNNESTED}) p
    join $tag_list t on t.id = p.id
    where t.category is distinct from 'rating' and p.probability >= {_THRESHOLD}
    group by p.sample_id
) f on f.sample_id = s.sample_id
where s.status = 'ok'""",
        optional=_LEAST,
        rows=True,
    ),
    Macro(
        "ratings",
        "A row for every sample: its most probable rating with the probability; both null if none reached the floor.",
        f"""select s.sample_id, r.rating, r.probability
from $scores s
left join (
    select p.sample_id, arg_max(t.name, p.probability) as rating, max(p.probability) as probability
    from ({_UNNESTED}) p
    join $tag_list t on t.id = p.id
    where t.category = 'rating'
    group by p.sample_id
) r on r.sample_id = s.sample_id
where s.status = 'ok'""",
        rows=True,
    ),
    Macro(
        "without_tags",
        "A list of tags without those that match a pattern of a list: names, with * and ?.",
        "list_filter($tags, lambda tag: not list_bool_or(list_append("
        "list_transform($patterns, lambda p: tag glob p), false)))",
        ("tags", "patterns"),
    ),
    Macro(
        "drop_implied",
        "A list of tags without those that another of its tags implies; implications is a map: tag -> list of tags.",
        "list_filter($tags, lambda tag: not list_contains(flatten(list_transform($tags, "
        "lambda other: coalesce($implications[other], []))), tag))",
        ("tags", "implications"),
    ),
    Macro(
        "add_implied",
        "A list of tags, then those that they imply and are not there yet, by name; implications is a map: tag -> list of tags.",
        "list_concat($tags, list_filter(list_sort(list_distinct(flatten(list_transform($tags, "
        "lambda other: coalesce($implications[other], []))))), lambda tag: not list_contains($tags, tag)))",
        ("tags", "implications"),
    ),
    Macro(
        "tags_first",
        "A list of tags in another order: those of a list first, in its order, then the rest as they are.",
        "list_concat(list_filter($wanted, lambda tag: list_contains($tags, tag)), "
        "list_filter($tags, lambda tag: not list_contains($wanted, tag)))",
        ("tags", "wanted"),
    ),
    Macro(
        "caption_of_tags",
        "The caption that trainers read: tags joined by a comma and a space, with spaces for underscores, but in emoticons.",
        "array_to_string(list_transform($tags, lambda tag: case when list_contains("
        f"string_split('{KAOMOJI}', ' '), tag) then tag else replace(tag, '_', ' ') end), ', ')",
        ("tags",),
    ),
    Macro(
        "training_caption",
        "The caption that is trained: texts of a list joined by a comma and a space, without those that are null or "
        "empty; null if none is left. Trigger words first: training_caption(['mystyle', caption_of_tags(tags), caption]).",
        "nullif(array_to_string(list_filter(list_transform($parts, lambda part: trim(part)), "
        "lambda part: part <> ''), ', '), '')",
        ("parts",),
    ),
    Macro(
        "quality_word",
        "The word for a score: the first of a list whose limit the score reaches, the last if it reaches none; words are "
        "one more than the limits, which fall: quality_word(score, [0.8, 0.5], ['best quality', 'good quality', 'low quality']).",
        "$words[1 + len(list_filter($limits, lambda least: $score < least))]",
        ("score", "limits", "words"),
    ),
    Macro(
        "escaped_tags",
        "A list of tags with a backslash before each parenthesis, for trainers that read weights in them.",
        "list_transform($tags, lambda tag: replace(replace(tag, '(', '\\('), ')', '\\)'))",
        ("tags",),
    ),
    Macro(
        "tag_agreement",
        "How far two lists of tags agree, 0-1: tags of both as a share of the tags of either; 1 if neither has any. Taggers "
        "write one tag in several ways: Long_Hair and long hair are the same.",
        "case when len($tags) + len($others) = 0 then 1.0 else "
        f"len(list_intersect({_plain('$tags')}, {_plain('$others')}))::double "
        f"/ len(list_distinct({_plain('list_concat($tags, $others)')})) end",
        ("tags", "others"),
    ),
    Macro(
        "cosine",
        "The cosine similarity of two stored vectors, -1 to 1.",
        "list_cosine_similarity($a, $b)",
        ("a", "b"),
    ),
)


def create_statements() -> Iterator[str]:
    """The statements that create every macro in DuckDB's schema ``main``."""
    for macro in MACROS:
        yield macro.create()


def dbt_file() -> str:
    """The file of dbt macros, ``dbt_like_sql/macros/arot.sql``."""
    head = (
        "{# The macros of the catalogue for SQL models; written by `python docs/macros.py`, do not edit.\n"
        "   Those that give rows take two relations: source('demo', 'wd_tagger') and source('tags', 'wd_tagger'). #}\n\n"
    )
    return head + "\n".join(macro.dbt() for macro in MACROS)
