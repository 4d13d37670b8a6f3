{% snapshot snap_purchases %}

select
    purchase_id,
    product_id,
    user_id,
    purchased_on
from {{ ref('fct_purchases') }}

{% endsnapshot %}
