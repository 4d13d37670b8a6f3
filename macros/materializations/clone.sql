{#- `dbt clone`, which makes views of what another state has. Nothing that a build has made is
    replaced by one: a table would become a view of itself, and a snapshot would lose its history. -#}
{% materialization clone, adapter="duckdb" %}
    {%- set existing = load_cached_relation(this) -%}
    {%- if defer_relation and defer_relation.render() | lower == this.render() | lower -%}
        {%- do exceptions.raise_compiler_error(
            this ~ " would be a clone of itself: the state is that of this very target. "
            ~ "Clone into another one (--target), or make an environment (boathouse env create)."
        ) -%}
    {%- elif existing and existing.type == "table" and flags.FULL_REFRESH -%}
        {%- do exceptions.raise_compiler_error(
            this ~ " is a table that a build has made, and a clone would replace it by a view. "
            ~ ("It holds the history of a snapshot, which nothing can make again. " if model.resource_type == "snapshot")
            ~ "Clone into a target that lacks it, or drop it first."
        ) -%}
    {%- endif -%}
    {{ return(dbt.materialization_clone_default()) }}
{% endmaterialization %}
