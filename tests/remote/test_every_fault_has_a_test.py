"""The faults that a user of other machines meets, and the test of each. A test that is renamed has to be renamed here too."""

from __future__ import annotations

from pathlib import Path

import pytest

_TESTS = Path(__file__).resolve().parent.parent

FAULTS = {
    "a wrong host: its port is closed": "remote/ssh/test_ssh_connect.py::test_a_closed_port_says_which",
    "something else than ssh answers": "remote/ssh/test_ssh_connect.py::test_something_else_than_ssh_on_the_port_is_said",
    "a refused key": "remote/ssh/test_ssh_connect.py::test_a_refused_login_says_what_was_offered_and_what_to_do",
    "a changed host key": "remote/ssh/test_ssh_connect.py::test_a_changed_key_stops_and_names_the_command_that_mends_it",
    "DNS fails": "remote/ssh/test_ssh_connect.py::test_a_name_without_an_address_says_so",
    "DNS fails, as typed": "console/test_cli.py::test_a_host_without_an_address_is_one_line_that_says_what_to_look_at",
    "the disk there is full: sync": (
        "remote/test_full_disks.py::test_a_source_that_does_not_fit_on_the_host_is_said_and_leaves_no_half_tree"
    ),
    "the disk there is full: a run": "supervisor/test_full_disk.py::",
    "the disk here is full: a mirror": (
        "remote/test_full_disks.py::test_a_copy_that_does_not_fit_here_says_so_and_goes_on_once_there_is_room"
    ),
    "the disk here is full: a pull": "remote/test_pull.py::test_a_disk_that_is_full_here_says_so_and_keeps_what_came",
    "no python3 there": "remote/test_helper_link.py::test_a_host_without_python3_says_so",
    "no uv there": "remote/test_host_env.py::test_a_host_without_uv_and_without_a_way_to_get_it_says_so",
    "a .bashrc that prints": "remote/test_helper_link.py::test_a_login_shell_that_prints_does_no_harm",
    "a proxy jump that hangs": "remote/ssh/test_ssh_connect.py::test_a_jump_that_hangs_is_given_up",
    "a clock an hour off": "remote/test_helper_link.py::test_a_clock_an_hour_off_changes_no_state",
    "a clock an hour off, told": "console/test_host_verbs.py::test_a_clock_that_is_an_hour_off_is_said",
    "a run folder deleted under a tail": (
        "remote/test_mirror.py::test_a_run_folder_deleted_under_a_tail_is_said_and_the_copy_stays"
    ),
    "two consoles stop one run": "remote/test_helper_link.py::test_two_consoles_may_stop_the_same_run",
    "a wrong API key": "console/rental/test_actions.py::test_a_wrong_key_is_one_line_with_where_to_get_one",
    "the account is out of quota": "console/rental/test_actions.py::test_a_full_account_is_one_line_with_what_to_do",
    "the network goes during a launch": (
        "remote/cloud/test_instances.py::test_a_network_that_is_gone_during_the_launch_leaves_nothing_open"
    ),
    "the laptop sleeps for an hour: money": (
        "remote/cloud/test_guard.py::test_an_hour_of_sleep_over_the_lease_ends_the_machine_at_the_next_look_and_a_grace"
    ),
    "the laptop sleeps for an hour: runs": "remote/test_asleep.py::test_after_an_hour_of_sleep_a_run_is_caught_up_with",
    "the link is gone for long": (
        "remote/test_link_cut.py::test_a_link_that_is_gone_for_longer_than_the_deadline_loses_nothing"
    ),
    "a frozen peer": "remote/test_helper_link.py::test_a_frozen_peer_is_noticed_within_the_deadline",
    "an executor killed there": (
        "console/test_remote_run.py::test_a_plan_whose_executor_was_killed_there_is_resumed_from_here"
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_it_is_tested(fault: str) -> None:
    file, _, name = FAULTS[fault].partition("::")
    assert f"def {name or 'test_'}" in (_TESTS / file).read_text()
