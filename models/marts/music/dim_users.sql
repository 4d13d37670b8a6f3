with

users as (
    select * from {{ ref('int_music__users') }}
)

select
    user_id,
    first_name,
    last_name,
    gender,
    level
from users
where has_played
