{#- The whole seconds from one time to a later one, rounded down. -#}
{% macro whole_seconds_between(earlier, later) %}
    {{ return(adapter.dispatch("whole_seconds_between")(earlier, later)) }}
{% endmacro %}


{% macro default__whole_seconds_between(earlier, later) %}
    timestampdiff(second, {{ earlier }}, {{ later }})
{% endmacro %}


{#- date_diff would count the second marks passed: 1 from 0.9 s to 1.1 s. -#}
{% macro duckdb__whole_seconds_between(earlier, later) %}
    date_sub('second', {{ earlier }}, {{ later }})
{% endmacro %}
