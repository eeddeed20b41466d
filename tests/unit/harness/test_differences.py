from harness.differences import differences


def test_what_differs_is_named_with_its_place_and_both_values() -> None:
    before = {"host": {"cpus": "4", "cpu": "A"}, "users": [1, 2], "seed": 1}
    now = {"host": {"cpus": "8", "cpu": "A"}, "users": [1, 3, 5], "seed": 1}
    assert list(differences(before, now)) == [
        ("host.cpus", "4", "8"),
        ("users.2", "2", "3"),
        ("users.3", "absent", "5"),
    ]


def test_what_is_the_same_does_not_differ() -> None:
    assert list(differences({"a": {"b": (1, 2)}}, {"a": {"b": [1, 2]}})) == []
