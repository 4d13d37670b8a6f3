select
    coalesce(course, '(unknown)') as course,
    sex,
    famrel as family_relations,
    students,
    median_absences
from marts.rpt_absences_by_family_relations
where $course::varchar is null or coalesce(course, '(unknown)') = $course
order by course, sex, family_relations
