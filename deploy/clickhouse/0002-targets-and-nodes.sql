-- What is known of destinations, and how the nodes themselves fare.

CREATE TABLE IF NOT EXISTS targets (
    tenant  LowCardinality(String) COMMENT 'whose target it is',
    dst     IPv6 COMMENT 'its address, IPv4 as ::ffff:a.b.c.d',
    name    String COMMENT 'what people call it',
    labels  Map(LowCardinality(String), String) COMMENT 'anything else: site, region, AS, owner',
    updated DateTime('UTC') DEFAULT now() COMMENT 'the latest row of a target counts'
)
ENGINE = ReplacingMergeTree(updated)
ORDER BY (tenant, dst);

-- Names without a join: dictGetOrDefault('targets_dict', 'name', (tenant, dst), toString(dst)).
-- It reads as the server's default user: where that one has a password, add USER and PASSWORD to the source.
CREATE DICTIONARY IF NOT EXISTS targets_dict (
    tenant String,
    dst    IPv6,
    name   String DEFAULT '',
    labels Map(String, String)
)
PRIMARY KEY tenant, dst
SOURCE(CLICKHOUSE(QUERY 'SELECT tenant, dst, name, labels FROM {target_database}.targets FINAL'))
LAYOUT(COMPLEX_KEY_HASHED())
LIFETIME(MIN 30 MAX 60);

CREATE TABLE IF NOT EXISTS node_samples (
    tenant LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'whose node it is',
    node   LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'the machine that probes',
    metric LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'what was measured, in base units: sent_total, cpu_seconds_total',
    ts     DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    value  Float64 CODEC(Gorilla, ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(ts)
ORDER BY (tenant, node, metric, ts)
TTL toDateTime(ts) + INTERVAL 400 DAY DELETE
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000;
