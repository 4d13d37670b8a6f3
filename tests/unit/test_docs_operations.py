"""Each line of “What happens when …” in docs/operations.md is shown by tests: here is by which.

A new line needs a test, and a test that is renamed its new name here.
"""

import ast
from collections import Counter

import pytest
from support.homes import REPOSITORY

# The first cell of a line, and the tests that show what the second one says.
SHOWN_BY = {
    "the process is killed, or the machine goes down": [
        "test_load_killed_at_a_step_is_finished_by_the_next",
        "test_load_killed_at_a_random_instant_is_finished_by_the_next",
        "test_run_killed_at_a_step_is_finished_by_the_next",
        "test_killed_anywhere_leaves_one_whole_release_and_nothing_to_mend_by_hand",
        "test_killed_build_is_interrupted_and_one_whose_process_lives_is_running",
    ],
    "one file cannot be read, whatever the reason: a fault nobody has foreseen, an engine that "
    "dies of it, memory, time": [
        "test_a_file_that_ends_the_reading_is_set_aside",
        "test_a_file_that_kills_the_process_is_set_aside",
        "test_a_file_that_takes_too_much_memory_is_set_aside",
        "test_a_process_that_is_stuck_is_ended",
        "test_watch_goes_on_after_a_file_that_ends_the_reading_and_sends_one_alert",
    ],
    "somebody presses Ctrl-C": [
        "test_writing_command_ends_with_a_sentence_and_can_be_run_again",
        "test_build_goes_on_after_ctrl_c",
        "test_ctrl_c_during_a_run_ends_it_quietly_and_the_next_run_goes_on",
        "test_watch_builds_only_what_a_dropped_file_touches_and_finishes_it_on_ctrl_c",
        "test_second_ctrl_c_ends_a_watch_in_the_middle_of_a_run",
    ],
    "… while dbt that was typed by hand runs": ["test_dbt_retry_and_run_do_what_ctrl_c_has_left"],
    "an editor keeps dbt open": [
        "test_idle_dbt_process_lets_others_write_and_sees_what_they_wrote",
        "test_dbt_command_holds_the_lock_while_it_runs_even_after_one_that_only_reads",
        "test_dbt_command_lets_go_however_it_ends",
    ],
    "the disk of home or lake is full": [
        "test_what_writes_names_the_full_disk",
        "test_what_only_reads_is_answered",
        "test_nothing_is_left_of_what_did_not_fit",
        "test_all_goes_on_once_there_is_room",
        "test_doctor_finds_the_disk_and_no_damage",
        "test_no_space_left_is_told_and_nothing_is_half_done",
        "test_command_tells_of_the_one_trouble_that_a_build_has_failed_of",
    ],
    "… that of a backup, or of a home to be restored": [
        "test_what_writes_names_the_full_disk",
        "test_how_much_is_needed_is_told_where_it_is_known",
        "test_nothing_is_left_of_what_did_not_fit",
    ],
    "a backup is killed": ["test_backup_or_restore_killed_at_a_step_is_done_by_the_next"],
    "nothing may be written in the home": [
        "test_home_that_cannot_be_written_answers_all_that_only_reads",
        "test_read_only_disk_answers_the_api_the_dashboard_and_what_needs_more_than_memory",
    ],
    r"the path of home, lake or catalogue has a `?`, `*`, `[` or `\` in it": [
        "test_value_that_cannot_be_is_refused_by_name",
    ],
    "a setting is wrong": [
        "test_value_that_cannot_be_is_refused_by_name",
        "test_wrong_setting_is_named",
    ],
    "`make` meets an old Python, or an installation that was cut short": [
        "test_old_python_is_refused_in_a_sentence",
        "test_only_what_was_cut_short_is_made_again",
    ],
    "two commands write at once": [
        "test_two_runs_at_once_both_succeed_and_the_second_says_for_whom_it_waits",
    ],
    "a file is bad": [
        "test_a_faulty_file_ends_where_it_should",
        "test_the_good_files_among_the_faulty_ones_are_loaded",
    ],
    "a row is bad": [
        "test_a_faulty_file_ends_where_it_should",
        "test_all_reasons_are_given",
        "test_strict_load_with_rejects_exits_3_and_keeps_what_is_good",
    ],
    "under `watch`, anything fails": [
        "test_each_trouble_is_told_once_outlived_and_its_end_is_told",
        "test_trouble_is_told_once_not_at_every_try",
        "test_pauses_between_tries_grow_up_to_a_minute",
        "test_watch_outlives_what_nobody_has_foreseen",
    ],
    "… a contract, model or test that is bad": [
        "test_edit_that_may_have_mended_it_is_tried_at_once",
        "test_files_that_may_have_mended_it_are_tried_at_once",
        "test_pauses_after_what_people_have_to_mend_grow_up_to_an_hour",
        "test_each_trouble_is_told_once_outlived_and_its_end_is_told",
    ],
    "… landing is removed, or holds links, pipes and loops": [
        "test_landing_that_vanishes_and_what_is_no_file_in_it_are_no_trouble",
    ],
    "… the terminal, or the disk of its log, is gone": [
        "test_watch_outlives_its_terminal",
        "test_watch_outlives_a_terminal_that_is_gone",
    ],
    "… an alert cannot be sent": [
        "test_alert_that_cannot_be_sent_is_sent_at_the_next_try",
        "test_alert_that_nobody_has_taken_is_sent_again_at_the_next_try",
    ],
    "… `watch` itself is killed or hangs": [
        "test_every_look_beats_and_says_what_ails_it_until_the_watch_is_told_to_end",
        "test_doctor_tells_of_a_watch_that_has_stopped_beating",
        "test_watch_that_ends_or_hangs_is_started_again",
    ],
    "a database, an object store or a network drive does not answer": [
        "test_error_of_what_we_stand_on_says_which_and_what_to_do",
        "test_store_that_does_not_answer_is_no_empty_one",
        "test_address_that_nobody_answers_is_an_error_with_a_hint_and_without_the_password",
        "test_what_the_lake_stands_on_is_no_files_fault",
    ],
    "access is denied, or memory is short": [
        "test_error_of_what_we_stand_on_says_which_and_what_to_do",
        "test_home_that_cannot_be_written_answers_all_that_only_reads",
        "test_too_little_memory_is_told_with_the_setting_that_gives_more",
        "test_what_the_lake_stands_on_is_no_files_fault",
    ],
    "the disk is lost": [
        "test_restored_home_is_the_same_and_goes_on",
        "test_warehouse_is_kept_in_order_backed_up_and_restored",
    ],
    "a file of the lake is lost or damaged": [
        "test_file_of_the_lake_that_cannot_be_read_is_told_by_reading",
        "test_each_trouble_is_told_once_outlived_and_its_end_is_told",
        "test_command_tells_of_the_one_trouble_that_a_build_has_failed_of",
    ],
    "the catalogue is lost or damaged": [
        "test_every_command_that_needs_the_catalogue_ends_with_what_is_wrong_with_it",
        "test_damage_is_a_problem_with_something_to_do",
    ],
    "the disk has changed bytes of a release": [
        "test_damage_is_not_carried_over_into_the_next_release",
        "test_damaged_release_is_made_anew_when_somebody_asks",
        "test_damaged_release_is_not_rolled_back_to",
    ],
    "… of its look-ups": [
        "test_damage_is_not_carried_over_into_the_next_release",
        "test_damaged_release_is_made_anew_when_somebody_asks",
        "test_damaged_release_is_not_rolled_back_to",
    ],
    "… of an original in `archive/`": ["test_originals_are_held_against_the_ledger"],
    "a test fails": [
        "test_red_test_keeps_readers_on_the_release_before",
        "test_failed_test_is_named_with_its_file_and_what_it_said",
        "test_differences_that_a_unit_test_finds_are_told_whole",
    ],
    "a mart has lost more than half of its rows": [
        "test_mart_that_lost_more_than_half_of_its_rows_holds_the_release_back",
    ],
    "`BOATHOUSE_CATALOG` has a typo, or the catalogue is deleted, emptied or new": [
        "test_catalogue_that_holds_nothing_is_not_taken_for_a_new_lake",
        "test_every_command_that_needs_the_catalogue_ends_with_what_is_wrong_with_it",
    ],
    "home, lake and catalogue are of two lakes, or a release of another one lies in `releases/`": [
        "test_parts_of_two_lakes_are_not_joined",
        "test_environment_is_a_lake_of_its_own",
    ],
    "the lake's folder is lost": ["test_lost_folder_of_files_is_not_made_anew"],
    "an older catalogue is put back by hand": [
        "test_older_catalogue_is_noticed_and_gone_on_from_when_told",
        "test_older_catalogue_is_noticed_when_its_snapshots_have_passed_those_of_the_home",
        "test_older_catalogue_is_noticed_by_what_lies_in_a_home_that_has_noted_nothing",
    ],
    "a newer Boathouse has written in the home": [
        "test_what_a_newer_version_has_written_is_refused_by_name",
    ],
    "a release's look-ups are of another release": [
        "test_look_ups_of_another_release_are_not_answered_from_and_made_anew",
    ],
    "a release turns out wrong": [
        "test_rollback_goes_back_and_release_goes_forward",
        "test_release_after_a_rollback_goes_forward_but_a_job_does_not",
        "test_new_data_after_a_rollback_is_released_by_a_job_too",
    ],
    "the home is moved, or copied": [
        "test_moved_home_goes_on_as_if_it_had_always_been_there",
        "test_copy_and_original_go_on_each_by_itself",
        "test_home_that_is_moved_and_copied_by_hand_goes_on",
    ],
    "a load is killed that takes its files from `BOATHOUSE_LANDING`": [
        "test_load_that_was_killed_is_finished_by_the_next",
        "test_load_that_was_killed_while_it_deleted_loads_nothing_twice",
        "test_what_a_killed_machine_had_taken_the_other_loads_and_it_comes_back_to_nothing",
        "test_machines_that_load_at_once_take_each_file_once",
    ],
    "… or the store does not answer": [
        "test_store_that_does_not_answer_is_told_and_holds_back_nothing_that_is_here",
        "test_store_that_fails_in_the_middle_leaves_nothing_half_done",
        "test_watch_goes_on_with_what_is_here_while_the_store_does_not_answer",
        "test_landing_store_that_does_not_answer_is_told_and_holds_back_nothing_that_is_here",
    ],
    "… or a file there is replaced meanwhile": [
        "test_file_that_is_replaced_meanwhile_is_taken_by_the_next_load",
        "test_file_that_is_gone_or_another_when_it_is_brought_is_left_alone",
    ],
    "originals cannot be carried off to `BOATHOUSE_ARCHIVE`, or the process is killed meanwhile": [
        "test_store_that_does_not_answer_holds_back_no_release",
        "test_load_that_was_killed_carries_off_by_the_next",
    ],
    "a run that pushes its release to `BOATHOUSE_RELEASES` is killed, or the store does not "
    "answer": [
        "test_release_that_was_killed_is_pushed_by_the_next",
        "test_store_that_does_not_answer_holds_back_nothing_here",
    ],
    "a pull is killed, or what came is not what was put there": [
        "test_pull_that_was_killed_shows_one_whole_release",
        "test_damage_is_not_taken_and_can_be_mended",
    ],
    "two homes of one lake push at once": [
        "test_who_is_behind_does_not_put_back_what_he_has",
        "test_change_by_another_at_the_same_moment_is_looked_at_anew",
    ],
    "a client writes in `warehouse.duckdb`": [
        "test_writing_client_changes_no_release_and_keeps_nobody_of_ours_out",
        "test_next_release_lets_all_others_in_while_the_client_goes_on_writing",
        "test_release_that_has_nothing_to_release_lets_others_in_as_well",
    ],
    "somebody asks what we knew in March": [
        "test_sql_shows_the_lake_as_it_was",
        "test_dbt_snapshot_believes_the_current_purchases",
    ],
}


def lines() -> list[str]:
    """Return the first cell of each line of the table."""
    text = (REPOSITORY / "docs/operations.md").read_text()
    _, _, section = text.partition("\n## What happens when …\n")
    table, _, _ = section.partition("\n## ")
    rows = [line for line in table.splitlines() if line.startswith("| ")]
    return [row.removeprefix("| ").partition(" | ")[0] for row in rows[2:]]


@pytest.fixture(scope="module")
def tests() -> Counter[str]:
    """Return how many tests there are of each name."""
    files = (REPOSITORY / "tests").rglob("test_*.py")
    nodes = (node for file in files for node in ast.walk(ast.parse(file.read_text())))
    return Counter(node.name for node in nodes if isinstance(node, ast.FunctionDef))


def test_each_line_of_the_table_is_here_and_no_other() -> None:
    assert list(SHOWN_BY) == lines()


@pytest.mark.parametrize("line", SHOWN_BY)
def test_line_is_shown_by_tests_that_there_are(line: str, tests: Counter[str]) -> None:
    assert SHOWN_BY[line]
    assert {name: tests[name] for name in SHOWN_BY[line]} == dict.fromkeys(SHOWN_BY[line], 1)
