from __future__ import annotations

from xenp2m.progress import alive, listening, reporter, track


class Listener:
    def __init__(self) -> None:
        self.told: list[tuple[str, int, int]] = []
        self.ticks = 0

    def advance(self, what: str, done: int, total: int) -> None:
        self.told.append((what, done, total))

    def tick(self) -> None:
        self.ticks += 1


def test_without_a_listener_nothing_is_wrapped() -> None:
    items = [1, 2]
    assert track("counting", items, 2) is items
    assert reporter("counting") is None
    alive()


def test_a_loop_is_told_from_its_begin_to_its_end() -> None:
    listener = Listener()
    with listening(listener):
        assert list(track("counting", ["a", "bc"], 3, len)) == ["a", "bc"]
        alive()
    assert listener.told == [("counting", 0, 3), ("counting", 1, 3), ("counting", 3, 3)]
    assert listener.ticks == 1
    assert reporter("counting") is None


def test_a_loop_that_is_left_has_ended() -> None:
    listener = Listener()
    with listening(listener):
        for item in track("counting", range(9), 9):
            if item == 4:
                break
    assert listener.told[-1] == ("counting", 9, 9)


def test_more_items_than_were_announced_do_not_end_it_early() -> None:
    listener = Listener()
    with listening(listener):
        list(track("counting", range(5), 2))
    assert [done for _, done, _ in listener.told] == [0, 1, 1, 1, 1, 2]
