-- Results of probes, one row each, and their rollups by minute and hour.
-- Statements end with a semicolon at the end of a line. `megaping schema apply` runs each file once.

CREATE TABLE IF NOT EXISTS results (
    tenant          LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'whose result it is',
    node            LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'the machine that probed',
    dst             IPv6 CODEC(ZSTD(1)) COMMENT 'where the probe went, IPv4 as ::ffff:a.b.c.d',
    ts              DateTime64(9, 'UTC') CODEC(Delta(8), ZSTD(1)) COMMENT 'departure, or when it was due',
    outcome         Enum8('answered' = 0, 'error' = 1, 'lost' = 2, 'unsent' = 3) CODEC(ZSTD(1)),
    rtt_ns          UInt64 CODEC(T64('bit'), ZSTD(1)) COMMENT 'round trip, zero without an answer',
    error_ns        UInt32 CODEC(T64, ZSTD(1)) COMMENT 'the round trip is true within this',
    seq             UInt32 CODEC(Delta(4), ZSTD(1)) COMMENT 'round of the target',
    responder       IPv6 CODEC(ZSTD(1)) COMMENT 'who answered, the destination where nobody did',
    detail          UInt16 CODEC(ZSTD(1)) COMMENT 'of an error: ICMP type * 256 + code, unsent: the reason',
    hop_limit       UInt8 CODEC(ZSTD(1)) COMMENT 'TTL or hop limit at departure',
    reply_hop_limit UInt8 CODEC(ZSTD(1)) COMMENT 'the same of the answer',
    size            UInt16 CODEC(ZSTD(1)) COMMENT 'payload bytes',
    flow            UInt16 CODEC(ZSTD(1)) COMMENT 'ECMP path explored',
    stamp_source    Enum8('user' = 0, 'kernel' = 1, 'xdp' = 2, 'hardware' = 3, 'virtual' = 4) CODEC(ZSTD(1)),
    marks           UInt8 CODEC(ZSTD(1)) COMMENT 'bit 0: other responder, bit 1: loss that may be our own',
    icmp_type       UInt8 ALIAS if(outcome = 'error', toUInt8(bitShiftRight(detail, 8)), 0),
    icmp_code       UInt8 ALIAS if(outcome = 'error', toUInt8(bitAnd(detail, 255)), 0)
)
ENGINE = MergeTree
PARTITION BY toYYYYMMDD(ts)
ORDER BY (tenant, dst, node, ts)
TTL toDateTime(ts) + INTERVAL 14 DAY DELETE
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000;

-- The key of `hist` is floor(16 * log2(rtt_ns)): buckets 4.4 % wide, so that quantiles are within 2.2 %.
CREATE TABLE IF NOT EXISTS results_1m (
    tenant     LowCardinality(String) CODEC(ZSTD(1)),
    node       LowCardinality(String) CODEC(ZSTD(1)),
    dst        IPv6 CODEC(ZSTD(1)),
    time       DateTime('UTC') CODEC(Delta(4), ZSTD(1)),
    scheduled  SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    answered   SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    errors     SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    lost       SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    unsent     SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    rtt_sum_ns SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    rtt_min_ns SimpleAggregateFunction(min, UInt64) CODEC(T64, ZSTD(1)),
    rtt_max_ns SimpleAggregateFunction(max, UInt64) CODEC(T64, ZSTD(1)),
    hist       SimpleAggregateFunction(sumMap, Map(UInt16, UInt64)) CODEC(ZSTD(1))
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(time)
ORDER BY (tenant, dst, node, time)
TTL time + INTERVAL 400 DAY DELETE
SETTINGS non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS results_1m_view TO results_1m AS
SELECT
    tenant, node, dst,
    toStartOfMinute(toDateTime(ts, 'UTC')) AS time,
    count() AS scheduled,
    countIf(outcome = 'answered') AS answered,
    countIf(outcome = 'error') AS errors,
    countIf(outcome = 'lost') AS lost,
    countIf(outcome = 'unsent') AS unsent,
    sumIf(rtt_ns, outcome = 'answered') AS rtt_sum_ns,
    min(if(outcome = 'answered', rtt_ns, 18446744073709551615)) AS rtt_min_ns,
    max(if(outcome = 'answered', rtt_ns, 0)) AS rtt_max_ns,
    sumMapIf(map(toUInt16(16 * log2(greatest(rtt_ns, 1))), toUInt64(1)), outcome = 'answered') AS hist
FROM results
GROUP BY tenant, node, dst, time;

CREATE TABLE IF NOT EXISTS results_1h AS results_1m
ENGINE = AggregatingMergeTree
PARTITION BY toYear(time)
ORDER BY (tenant, dst, node, time)
TTL time + INTERVAL 1825 DAY DELETE
SETTINGS non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS results_1h_view TO results_1h AS
SELECT
    tenant, node, dst,
    toStartOfHour(time) AS time,
    sum(scheduled) AS scheduled,
    sum(answered) AS answered,
    sum(errors) AS errors,
    sum(lost) AS lost,
    sum(unsent) AS unsent,
    sum(rtt_sum_ns) AS rtt_sum_ns,
    min(rtt_min_ns) AS rtt_min_ns,
    max(rtt_max_ns) AS rtt_max_ns,
    sumMap(hist) AS hist
FROM results_1m
GROUP BY tenant, node, dst, time;
