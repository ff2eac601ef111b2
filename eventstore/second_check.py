"""Whether the second signatures of a log's kept checkpoints are those of its second keys."""

from __future__ import annotations

from pathlib import Path

from eventstore import head as heads
from eventstore.anchors import endorsements, kept
from eventstore.checkpoint import parse_checkpoint, signatures
from eventstore.cosignature import Cosigner
from eventstore.errors import CheckpointSignatureInvalid, KeyChainBroken
from eventstore.head import Epochs
from eventstore.log_directory import evidence_in
from eventstore.second_key import read_endorsement


def check_second_signatures(directory: Path) -> int:
    """How many kept checkpoints of the log in *directory* have a second signature.

    The log's own chain of signing keys endorses the second keys: verify that first.
    Raise KeyChainBroken, or CheckpointSignatureInvalid if one does not hold.
    """
    with evidence_in(directory) as evidence:
        identity, epochs = evidence.identity, heads.decode_epochs(evidence.epochs)
    chain = heads.verifiers(heads.decode_identity(identity), epochs)
    seconds: dict[int, Cosigner] = {}
    for start, note in endorsements(directory):
        epoch = epochs.signing_index(start)
        said = read_endorsement(note, chain[epoch])
        if not said.start == start == epochs.signing[epoch].start:
            raise KeyChainBroken("a second key is endorsed for another epoch")
        seconds[start] = said.second
    return sum(_is_signed(anchor.note, seconds, epochs) for anchor in kept(directory))


def _is_signed(note: str, seconds: dict[int, Cosigner], epochs: Epochs) -> bool:
    size = parse_checkpoint(note).size
    second = seconds.get(epochs.signing[epochs.signing_index(size)].start)
    if second is None:
        return False
    named = any((name, key) == (second.name, second.key_id) for name, key, _ in signatures(note)[1])
    if named and second.time_in(note) is None:
        raise CheckpointSignatureInvalid(f"the second signature at {size} records is not valid")
    return named
