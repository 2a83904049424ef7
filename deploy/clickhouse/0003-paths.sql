-- Paths as they were traced, a row each, and the changes of paths, which are copied into a table of their own.

CREATE TABLE IF NOT EXISTS paths (
    tenant    LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'whose path it is',
    node      LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'the machine that traced',
    dst       IPv6 CODEC(ZSTD(1)) COMMENT 'where it leads, IPv4 as ::ffff:a.b.c.d',
    flow      UInt16 CODEC(ZSTD(1)) COMMENT 'ECMP path explored',
    ts        DateTime64(9, 'UTC') CODEC(Delta(8), ZSTD(1)) COMMENT 'when its last probe ended',
    kind      Enum8('path' = 0, 'change' = 1) CODEC(ZSTD(1)) COMMENT 'a change stands beside the path that it led to',
    round     UInt32 CODEC(Delta(4), ZSTD(1)) COMMENT 'round of the run',
    reached   Bool CODEC(ZSTD(1)) COMMENT 'the destination answered',
    complete  Bool CODEC(ZSTD(1)) COMMENT 'all was asked that should be',
    length    UInt8 CODEC(ZSTD(1)) COMMENT 'the hop at which it ends, 0 where that was not found',
    path_id   UInt64 CODEC(ZSTD(1)) COMMENT 'hash of its responders and their places',
    probes    UInt32 CODEC(T64, ZSTD(1)) COMMENT 'probes that left for it',
    first_hop UInt8 CODEC(ZSTD(1)) COMMENT 'of a change: the first hop that differs',
    before_id UInt64 CODEC(ZSTD(1)) COMMENT 'of a change: the path before',
    before    Array(IPv6) CODEC(ZSTD(1)) COMMENT 'of a change: who answered before, from hop 1 on, :: where nobody did',
    hops      Nested(
        ttl       UInt8,
        responder IPv6,
        rtt_ns    UInt64,
        sent      UInt16,
        received  UInt16,
        icmp      UInt16,
        reply_hop_limit UInt8,
        traffic_class   UInt8,
        marks     UInt8
    ) COMMENT 'responder :: where nobody answered, icmp: type * 256 + code',
    labels    Nested(
        ttl   UInt8,
        entry UInt32
    ) COMMENT 'MPLS label stack entries (RFC 3032), top first, and the hop of each'
)
ENGINE = MergeTree
PARTITION BY toYYYYMMDD(ts)
ORDER BY (tenant, dst, flow, node, ts)
TTL toDateTime(ts) + INTERVAL 30 DAY DELETE
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS path_changes (
    tenant    LowCardinality(String) CODEC(ZSTD(1)),
    node      LowCardinality(String) CODEC(ZSTD(1)),
    dst       IPv6 CODEC(ZSTD(1)),
    flow      UInt16 CODEC(ZSTD(1)),
    ts        DateTime64(9, 'UTC') CODEC(Delta(8), ZSTD(1)),
    first_hop UInt8 CODEC(ZSTD(1)),
    before_id UInt64 CODEC(ZSTD(1)),
    path_id   UInt64 CODEC(ZSTD(1)),
    before    Array(IPv6) CODEC(ZSTD(1)),
    after     Array(IPv6) CODEC(ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(ts)
ORDER BY (tenant, dst, flow, node, ts)
TTL toDateTime(ts) + INTERVAL 400 DAY DELETE
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS path_changes_view TO path_changes AS
SELECT tenant, node, dst, flow, ts, first_hop, before_id, path_id, before, `hops.responder` AS after
FROM paths
WHERE kind = 'change';
