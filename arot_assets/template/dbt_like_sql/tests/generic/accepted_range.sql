{% test accepted_range(model, column_name, min_value=none, max_value=none, inclusive=true) %}
{# Rows whose value is outside the range. A null is no value and passes: not_null is a test of its own. #}
select *
from {{ model }}
where false
    {% if min_value is not none %}
    or {{ column_name }} {{ '<' if inclusive else '<=' }} {{ min_value }}
    {% endif %}
    {% if max_value is not none %}
    or {{ column_name }} {{ '>' if inclusive else '>=' }} {{ max_value }}
    {% endif %}
{% endtest %}
