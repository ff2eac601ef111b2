"""Whatever is done in whatever order, a keyring is a dict of keys in which destroyed stays None."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from eventstore.keyring import Keyring
from eventstore.rootkey import PassphraseRootKey
from support.keyrings import CHEAP, STORE, Crash, Faults, given_out, holds


class KeyringMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        self.place = Path(self.directory.name) / "keyring"
        self.root = PassphraseRootKey(Path(self.directory.name) / "key", b"passphrase", CHEAP)
        self.ring = Keyring.create(self.place, self.root, STORE)
        self.keys: dict[int, bytes | None] = {}
        self.epoch = 0

    @rule(nodes=st.integers(1, 70))
    @precondition(lambda self: len(self.keys) < 64 * 200)
    def allocate(self, nodes: int) -> None:
        new = given_out(self.ring, nodes)
        assert not new.keys() & self.keys.keys()
        self.keys |= new

    @rule(data=st.data())
    @precondition(lambda self: self.keys)
    def destroy(self, data: st.DataObject) -> None:
        numbers = data.draw(st.lists(st.sampled_from(sorted(self.keys)), max_size=5))
        fresh = tuple(sorted({number for number in numbers if self.keys[number]}))
        assert self.ring.destroy(numbers).destroyed == fresh
        self.keys |= dict.fromkeys(numbers)
        self.epoch += bool(fresh)

    @rule(how=st.sampled_from(["before", "after", "half"]), at=st.integers(1, 40), data=st.data())
    @precondition(lambda self: self.keys)
    def crash_while_destroying(self, how: str, at: int, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.keys)))
        with Faults(how, at).injected(self.ring), contextlib.suppress(Crash):
            self.ring.destroy([number])
        self.reopen()
        if self.ring.root_epoch > self.epoch:
            self.epoch += 1
            self.keys[number] = None

    @rule()
    def rotate_root(self) -> None:
        self.epoch += 1
        assert self.ring.rotate_root().root_epoch == self.epoch

    @rule(passphrase=st.binary(min_size=1, max_size=4))
    def change_passphrase(self, passphrase: bytes) -> None:
        self.root = self.root.with_passphrase(passphrase)
        self.epoch += 1
        assert self.ring.rotate_root(self.root).root_epoch == self.epoch

    @rule()
    def reopen(self) -> None:
        self.ring.close()
        self.ring = Keyring.open(self.place, self.root)

    @invariant()
    def holds_what_the_dict_holds(self) -> None:
        assert self.ring.root_epoch == self.epoch
        holds(self.ring, dict(list(self.keys.items())[::17]))
        holds(self.ring, {number: None for number, key in self.keys.items() if key is None})

    def teardown(self) -> None:
        self.ring.close()
        with Keyring.open(self.place, self.root) as ring:
            holds(ring, self.keys)
        self.directory.cleanup()


TestKeyring = KeyringMachine.TestCase
TestKeyring.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
