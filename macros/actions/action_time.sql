{#- The time of an action as a UTC timestamp; null when it is none. Digits beyond microseconds are
    cut off: rounded, an action could move into the next window. -#}
{% macro action_time(text) %}
    case
        when regexp_full_match({{ text }}, '\d+(\.\d+)?')
            then make_timestamp(cast(
                floor(try_cast({{ text }} as decimal(24, 12)) * 1000000) as bigint
            ))
        -- Without an offset it is UTC, as is the session's time zone; with one it is converted.
        else cast(try_cast({{ text }} as timestamptz) as timestamp)
    end
{% endmacro %}


{#- Beginning of the ten-minute window that a time is in; a window includes its start. -#}
{% macro action_window_start(occurred_at) %}
    time_bucket(interval 10 minutes, {{ occurred_at }})
{%- endmacro %}
