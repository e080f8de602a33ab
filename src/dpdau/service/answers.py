"""Answers in other forms than one JSON object of a fixed model."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from fastapi.responses import Response
from pydantic import BaseModel

__all__ = ["csv_answer", "json_answer", "prefers_csv"]


def json_answer(content: BaseModel | dict[str, Any], status: int = 200) -> Response:
    """An object as JSON, encoded on the calling thread."""
    encoded = (
        content.model_dump_json()
        if isinstance(content, BaseModel)
        else msgspec.json.encode(content)
    )
    return Response(encoded, status, media_type="application/json")


def csv_answer(columns: Sequence[str], rows: Iterable[dict[str, Any]]) -> Response:
    """Rows as CSV (RFC 4180) under a header line."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([row[column] for column in columns])
    return Response(text.getvalue(), media_type="text/csv")


def prefers_csv(accept: str) -> bool:
    """Whether an Accept header names CSV and not JSON."""
    return "text/csv" in accept and "application/json" not in accept
