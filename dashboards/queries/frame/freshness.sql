select
    sources.source,
    sources.domain,
    sources.warn_after_hours,
    sources.error_after_hours,
    freshness.last_loaded_at,
    freshness.last_event_at,
    coalesce(freshness.rows, 0) as row_count,
    coalesce(freshness.rejected_rows, 0) as rejected_rows
from meta.sources as sources
left join meta.source_freshness as freshness on sources.source = freshness.source
where $domain::varchar is null or sources.domain = $domain
order by sources.domain, sources.source
