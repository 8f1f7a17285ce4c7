"""What goes over the wire, as OpenAPI describes it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from terrahash.codes import MAX_BITS
from terrahash.service.conditions import Filters

MAX_ID = (1 << 63) - 1
# Further down a ranking nobody looks; a search by radius is bounded by it as well.
MAX_HITS = 10_000
MAX_PAGE = 1_000
DEFAULT_PAGE = 24
# Tiles that one request may name as examples, delete or bring as codes.
MAX_EXAMPLES = 200
MAX_NAMED = 10_000

Id = Annotated[int, Field(ge=0, le=MAX_ID)]
Ranking = Literal["asymmetric", "plain"]


class Strict(BaseModel):
    """A request that says nothing unknown."""

    model_config = ConfigDict(extra="forbid")


class Code(Strict):
    """A hash code, with what its bits weigh where that is known."""

    hex: str = Field(
        min_length=2,
        max_length=MAX_BITS // 4,
        pattern="^[0-9a-fA-F]+$",
        description="The packed code, big-endian within bytes.",
        examples=["5f03a1c2990e7d44"],
    )
    magnitudes: list[Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]] | None = Field(
        default=None,
        max_length=MAX_BITS,
        description="What a differing bit costs, one value a bit: asymmetric ranking.",
    )


class Examples(Strict):
    """Tiles that are and are not what is looked for."""

    positive: list[Id] = Field(default_factory=list, max_length=MAX_EXAMPLES)
    negative: list[Id] = Field(default_factory=list, max_length=MAX_EXAMPLES)
    code: Code | None = Field(default=None, description="The query that the examples refine.")


class SearchRequest(Strict):
    """One search: exactly one of ``id``, ``code`` and ``examples``."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"id": 17, "k": 24, "filters": {"label": ["harbour"]}},
                {"examples": {"positive": [17, 203], "negative": [5]}, "k": 48},
                {"code": {"hex": "5f03a1c2990e7d44"}, "radius": 6},
            ]
        },
    )

    id: Id | None = None
    code: Code | None = None
    examples: Examples | None = None
    k: int = Field(default=DEFAULT_PAGE, ge=1, le=MAX_PAGE, description="Hits on a page.")
    offset: int = Field(
        default=0, ge=0, le=MAX_HITS, description="Hits to pass over: the next page."
    )
    radius: float | None = Field(
        default=None, ge=0, le=1e6, description="Largest distance in bits."
    )
    ranking: Ranking = Field(
        default="asymmetric",
        description="`plain` ranks by whole bits even where magnitudes are known.",
    )
    filters: Filters = Field(default_factory=Filters)


class Item(BaseModel):
    """A tile."""

    id: int
    user_id: str | None = None
    source: str | None = None
    label: str | None = None
    predicted_label: str | None = None
    confidence: float | None = None
    datetime: str | None = None
    bbox: list[float] | None = None
    window: list[int] | None = None
    columns: dict[str, Any] = Field(default_factory=dict)
    code: str


class Hit(Item):
    """A tile that was found."""

    rank: int
    distance: float = Field(description="Differing bits, as the code's layout weighs them.")
    score: float | None = Field(
        default=None, description="Cost of the differing bits; lower is nearer."
    )
    precision: float | None = Field(
        default=None,
        description="Expected share of right answers at this distance, from validation.",
    )


class Query(BaseModel):
    """What was searched for."""

    kind: Literal["image", "id", "code", "examples"]
    id: int | None = None
    code: str
    magnitudes: list[float] | None = None
    predicted_label: str | None = None
    confidence: float | None = None
    preview: str | None = Field(
        default=None, description="`data:` address of a small JPEG of what the encoder saw."
    )


class SearchAnswer(BaseModel):
    """The hits of a search, best first, in the order (score, distance, id)."""

    query: Query
    ranking: Ranking
    hits: list[Hit]
    ties_at_last_distance: int = Field(description="Tiles that rank exactly as the last hit.")
    next_offset: int | None = Field(description="Where the next page begins, if there may be one.")
    archive_version: int
    milliseconds: dict[str, float]


class ItemPage(BaseModel):
    """Tiles in the order of their ids."""

    items: list[Item]
    total: int = Field(description="Tiles that meet the filters.")
    next_offset: int | None


class Counted(BaseModel):
    """How many tiles have a value."""

    value: str
    count: int


class Facets(BaseModel):
    """What the tiles that meet a filter are."""

    total: int
    label: list[Counted]
    predicted_label: list[Counted]
    dates: list[Counted] = Field(description="Tiles a day, month or year, by their span.")
    first: str | None
    last: str | None
    bbox: list[float] | None = Field(description="West, south, east, north of all footprints.")


class NewCode(Strict):
    """A tile that brings its code."""

    code: str = Field(min_length=2, max_length=MAX_BITS // 4, pattern="^[0-9a-fA-F]+$")
    user_id: str = Field(min_length=1, max_length=500)
    label: str | None = Field(default=None, max_length=500)
    datetime: str | None = Field(default=None, max_length=40)
    bbox: tuple[float, float, float, float] | None = None


class NewCodes(Strict):
    """Tiles that bring their codes, made by the archive's encoder."""

    items: list[NewCode] = Field(min_length=1, max_length=MAX_NAMED)


class Added(BaseModel):
    """What was stored, durably."""

    ids: list[int]
    skipped: list[dict[str, str]] = Field(description="Files that could not be read, and why.")


class Deleted(BaseModel):
    """How many tiles were deleted, durably."""

    deleted: int


class ArchiveAbout(BaseModel):
    """What the archive is and holds."""

    name: str
    tiles: int
    bits: int
    hash_bits: int
    label_bits: int
    label_weight: float
    encoder: str
    bytes: int
    deleted: int
    segments: int
    cells: float
    columns: dict[str, str]
    created: str
    version: int
    can_search_images: bool
    writable: bool
    demo: bool
    placed: bool = Field(description="Whether any tile has a footprint.")


class EncoderAbout(BaseModel):
    """The encoder that made the codes."""

    model_config = ConfigDict(extra="allow")

    fingerprint: str
    classes: list[str]
    precision_by_distance: dict[str, list[float]] | None = None
