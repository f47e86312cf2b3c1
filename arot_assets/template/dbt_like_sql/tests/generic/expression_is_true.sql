{% test expression_is_true(model, expression, column_name=none) %}
{# Rows for which the expression is false or null. Under a column, it is what follows the column's name: "> 0". #}
select *
from {{ model }}
where ({{ column_name or '' }} {{ expression }}) is not true
{% endtest %}
