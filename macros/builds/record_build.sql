{#- Every dbt command that changes or checks something is a build, noted in meta.builds. It
    stays `running` when the process is killed, with the nodes it was going to run, and then
    nothing can be released until these nodes ran again. -#}
{% macro start_build() %}
    {%- if is_build() and execute -%}
        {%- do adapter.store_relation("dbt_plugin", api.Relation.create(identifier="builds"), [], "", "", {"begin": true}) -%}
        {%- set arguments = invocation_args_dict -%}
        {%- set selection = (arguments.get("select") or []) | join(" ") -%}
        {%- if arguments.get("exclude") -%}
            {%- set selection = selection ~ " --exclude " ~ arguments["exclude"] | join(" ") -%}
        {%- endif %}
        insert into lake.meta.builds (
            build_id, command, selection, status, started_at, selected, load_id
        )
        select
            coalesce(max(build_id), 0) + 1,
            coalesce(getvariable('boathouse_command'), 'dbt {{ flags.WHICH }}'),
            {{ sql_text(selection | trim) }},
            'running',
            cast(now() as timestamp),
            cast([{% for id in selected_resources %}{{ sql_text(id) }}, {% endfor %}] as varchar[]),
            (select coalesce(max(load_id), 0) from lake.meta.loads)
        from lake.meta.builds
    {%- endif -%}
{% endmacro %}


{% macro finish_build(results) %}
    {%- if is_build() and execute -%}
        {%- set build_id = run_query("select max(build_id) from lake.meta.builds").rows[0][0] -%}
        {%- set ok = ("success", "pass", "warn", "no-op") -%}
        {%- set ran = results | rejectattr("node.resource_type", "in", ("operation", "exposure")) | list -%}
        {#- With --empty or --sample the tables lack rows: tests say nothing about the data. -#}
        {%- set lacks_rows = is_cut() -%}
        {%- set nodes = {} -%}
        {%- do adapter.store_relation("dbt_plugin", api.Relation.create(identifier="builds"), [], "", "", {"nodes": true, "answer": nodes}) -%}
        {%- set is_green = not lacks_rows and results | rejectattr("status", "in", ok) | list | length == 0 -%}
        {%- set snapshot = lake_snapshot() %}
        begin transaction;
        {%- if ran %}
        insert into lake.meta.build_results
            (build_id, unique_id, name, kind, status, seconds, rows, message, fingerprint, place)
        values
        {%- for result in ran %}
            (
                {{ build_id }},
                {{ sql_text(result.node.unique_id) }},
                {{ sql_text(result.node.name) }},
                '{{ result.node.resource_type }}',
                '{{ "lacks rows" if lacks_rows and result.status in ok else result.status }}',
                {{ result.execution_time }},
                {{ "null" if result.failures is none else result.failures }},
                {{ sql_text(result.message) }},
                {{ sql_text(nodes[result.node.unique_id].fingerprint if result.node.unique_id in nodes) }},
                {{ sql_text(nodes[result.node.unique_id].place if result.node.unique_id in nodes) }}
            ){{ "," if not loop.last else ";" }}
        {%- endfor %}
        {%- endif %}
        update lake.meta.builds
        set
            status = '{{ "success" if is_green else "error" }}',
            finished_at = cast(now() as timestamp),
            lake_snapshot = {{ snapshot }},
            selected = null
        where build_id = {{ build_id }};
        commit
    {%- endif -%}
{% endmacro %}


{#- Whether this command lets models see only part of their inputs. -#}
{% macro is_cut() %}
    {%- set answer = {} -%}
    {%- do adapter.store_relation("dbt_plugin", api.Relation.create(identifier="builds"), [], "", "", {"is_cut": true, "answer": answer}) -%}
    {{ return(answer["is_cut"]) }}
{% endmacro %}


{% macro is_build() %}
    {{ return(flags.WHICH in ("build", "run", "test", "seed", "snapshot", "retry")) }}
{% endmacro %}


{% macro sql_text(value) %}
    {{ return("null" if value is none else "'" ~ (value | string | replace("'", "''")) ~ "'") }}
{% endmacro %}
