-- The contract accepts any text, so that a new school or job does not stop deliveries. A code that
-- nothing explains (a typing error, a value in the wrong column, a yes/no answer that is neither
-- and so null in the mart) should be seen by somebody, but must not hold back a release: it warns.
{{ config(severity='warn') }}

{%- set coded_columns = [
    'school', 'sex', 'address', 'famsize', 'pstatus', 'mjob', 'fjob', 'reason', 'guardian',
] %}
{%- set yes_no_columns = [
    'schoolsup', 'famsup', 'paid', 'activities', 'nursery', 'higher', 'internet', 'romantic',
] %}

with

deliveries as (
    select * from {{ ref('stg_students__performance') }}
),

explained_codes as (
    select
        coded_column,
        code
    from {{ ref('seed_students__text_codes') }}
    {%- for column in yes_no_columns %}
    union all
    select
        '{{ column }}' as coded_column,
        answers.code
    from (values ('yes'), ('no')) as answers (code)
    {%- endfor %}
),

used_codes as (
    {%- for column in coded_columns + yes_no_columns %}
    select
        '{{ column }}' as coded_column,
        {{ column }} as code,
        count(*) as record_count
    from deliveries
    where {{ column }} is not null
    group by {{ column }}
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
)

select
    used_codes.coded_column,
    used_codes.code,
    used_codes.record_count
from used_codes
left join explained_codes
    on
        used_codes.coded_column = explained_codes.coded_column
        and used_codes.code = explained_codes.code
where explained_codes.code is null
