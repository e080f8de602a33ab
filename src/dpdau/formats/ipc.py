"""Whether an Arrow IPC stream has compressed buffers.

pyarrow inflates such buffers to whatever size they state, without a limit, so they are not
accepted from the network. It has no call that tells, but the metadata of every message does:
it is a FlatBuffers table (`format/Message.fbs` of Apache Arrow).
"""

import struct

import pyarrow as pa

__all__ = ["has_compressed_buffers", "states_compression"]

# Positions of the fields in the tables of Message.fbs.
_MESSAGE_HEADER = 2
_DICTIONARY_BATCH_DATA = 1
_RECORD_BATCH_COMPRESSION = 3


def has_compressed_buffers(stream: bytes) -> bool:
    """Whether any message of a stream states a compression.

    Raises:
        pyarrow.ArrowException: if the bytes are no IPC stream.
        ValueError: if a message's metadata is damaged.
    """
    messages = pa.ipc.MessageReader.open_stream(stream)
    return any(
        states_compression(message.type, message.metadata.to_pybytes()) for message in messages
    )


def states_compression(message_type: str, metadata: bytes) -> bool:
    """Whether the metadata of one message states a compression.

    Args:
        message_type: as pyarrow names it; only batches and dictionaries have buffers.
        metadata: the message's FlatBuffers table.

    Raises:
        ValueError: if the metadata is damaged.
    """
    if message_type not in {"record batch", "dictionary"}:
        return False
    try:
        batch = _child(metadata, _root(metadata), _MESSAGE_HEADER)
        if message_type == "dictionary":
            batch = _child(metadata, batch, _DICTIONARY_BATCH_DATA)
        return _field(metadata, batch, _RECORD_BATCH_COMPRESSION) is not None
    except struct.error as error:
        raise ValueError from error


def _root(metadata: bytes) -> int:
    return int(struct.unpack_from("<I", metadata)[0])


def _field(metadata: bytes, table: int, field: int) -> int | None:
    """Where a field of a table lies, or None if the table does not have it."""
    vtable = table - struct.unpack_from("<i", metadata, table)[0]
    entry = 4 + 2 * field
    if entry >= struct.unpack_from("<H", metadata, vtable)[0]:
        return None
    offset = struct.unpack_from("<H", metadata, vtable + entry)[0]
    return table + offset if offset else None


def _child(metadata: bytes, table: int, field: int) -> int:
    """Where the table lies to which a field refers."""
    position = _field(metadata, table, field)
    if position is None:
        raise ValueError
    return position + int(struct.unpack_from("<I", metadata, position)[0])
