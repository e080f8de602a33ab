"""The model that stores are compared with after a death."""

from _world import NOBODY, Client, Event, Person, World, after, erased, restored

TODAY = 100


def test_the_last_event_of_a_person_and_day_wins() -> None:
    events = [Event("ada", 99), Event("ada", 98), Event("ada", 99, add=False)]
    assert after({"ada": NOBODY}, events, TODAY) == {"ada": Person(frozenset({98}))}


def test_an_erasure_in_a_batch_takes_what_came_before_and_refuses_earlier_days() -> None:
    leave = Event("ada", 98, add=False, whole_user=True)
    events = [Event("ada", 99), leave, Event("ada", 97), Event("bob", 97)]
    changed = after({}, events, TODAY)
    assert changed["ada"] == Person(frozenset(), 98, TODAY, is_gone=True)
    assert changed["bob"] == Person(frozenset({97}))
    back = after(changed, [Event("ada", 98)], TODAY)
    assert back == {"ada": Person(frozenset({98}), 98, TODAY)}
    assert after(changed, [Event("ada", 99, add=False)], TODAY)["ada"].is_gone


def test_a_restore_brings_back_who_was_not_erased_since() -> None:
    then = {
        "ada": Person(frozenset({90})),
        "bob": Person(frozenset({90})),
        "eve": Person(frozenset(), 80, 80, is_gone=True),
    }
    now = {
        "ada": Person(frozenset({90, 99})),
        **erased(then, ["bob"], TODAY),
        "eve": Person(frozenset({99}), 80, 80),
        "joe": Person(frozenset({99})),
    }
    found = restored(now, then, copied_on=95)
    assert found["ada"] == then["ada"]
    assert found["bob"] == now["bob"]
    assert found["eve"] == Person(frozenset(), 80, 80)
    assert found["joe"] == NOBODY


def test_whoever_was_erased_on_the_day_of_the_copy_is_taken_out_of_it() -> None:
    then = {"ada": Person(frozenset({95}), 95, 95)}
    # Who came back since may still be known.
    assert restored(then, then, copied_on=95) == {"ada": Person(frozenset(), 95, 95)}
    gone = {"ada": Person(frozenset(), 95, 95, is_gone=True)}
    assert restored(gone, then, copied_on=95) == gone


def test_a_request_without_an_answer_leaves_its_people_in_one_of_two_states() -> None:
    client = Client({"ada": NOBODY, "bob": NOBODY})
    world = World([client])
    assert client.candidates == [client.people]
    changed = after(client.people, [Event("ada", 99)], TODAY)
    client.sending(changed, "ada + 99")
    assert [each["ada"] for each in client.candidates] == [NOBODY, changed["ada"]]
    client.answered(stored=False)
    assert world.people == {"ada": NOBODY, "bob": NOBODY}
    client.sending(changed, "ada + 99")
    client.answered(stored=True)
    assert world.people["ada"] == changed["ada"]
    assert list(client.history) == ["ada + 99", "answered"] * 2
    world.become({"ada": NOBODY, "bob": changed["ada"]})
    assert client.people["bob"] == changed["ada"]


def test_what_was_seen_may_be_put_in_doubt_again() -> None:
    client = Client({"ada": NOBODY}, {"ada": Person(frozenset({99}))})
    world = World([client])
    doubts = world.doubts()
    client.answered(stored=True)
    world.become({"ada": NOBODY})
    world.doubt(doubts)
    assert [each["ada"] for each in client.candidates] == [NOBODY, Person(frozenset({99}))]
