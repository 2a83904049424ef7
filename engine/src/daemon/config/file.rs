//! The configuration as it is written: TOML, every key with its meaning and its default.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use super::value;
use crate::capture::Trigger;
use crate::cli::{ArchiveFormat, Backend, SpoolFull};

/// A configuration file.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// This machine and its way to the wire.
    #[serde(default)]
    pub node: Node,
    /// Where results go.
    #[serde(default)]
    pub store: Store,
    /// Where the daemon is watched and steered.
    #[serde(default)]
    pub control: Control,
    /// What is never probed, whoever asks.
    #[serde(default)]
    pub exclude: Exclude,
    /// Whose measurements there are.
    #[serde(default)]
    pub tenant: Vec<Tenant>,
    /// What is measured.
    #[serde(default)]
    pub measurement: Vec<Measurement>,
}

/// `[node]`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Node {
    /// Probes a second, all tenants together: the whole node's limit.
    #[serde(deserialize_with = "value::rate")]
    #[schemars(with = "Option<value::Written>")]
    pub max_pps: Option<u64>,
    /// The interface to send through; else that of the routes.
    pub interface: Option<String>,
    /// The way to the wire.
    #[serde(deserialize_with = "value::word")]
    #[schemars(with = "Option<String>")]
    pub backend: Option<Backend>,
    /// Threads that probe.
    #[serde(deserialize_with = "value::shards")]
    #[schemars(with = "Option<value::Written>")]
    pub shards: Option<u16>,
    /// Probes that leave in a row, at most.
    #[serde(deserialize_with = "value::burst")]
    #[schemars(with = "Option<value::Written>")]
    pub burst: Option<u32>,
}

/// `[store]`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Store {
    /// Below it each tenant has a store of its own.
    pub dir: Option<PathBuf>,
    /// What results become there: `parquet`, `none`, or the URL of a bucket.
    #[serde(deserialize_with = "value::archive")]
    #[schemars(with = "Option<value::Written>")]
    pub archive: Option<ArchiveFormat>,
    /// Room on the disk for what is not yet archived or sent, for each tenant.
    #[serde(deserialize_with = "value::room")]
    #[schemars(with = "Option<value::Written>")]
    pub spool_max: Option<u64>,
    /// What happens when that is full.
    #[serde(deserialize_with = "value::word")]
    #[schemars(with = "Option<String>")]
    pub spool_full: Option<SpoolFull>,
    /// The service that results are sent to, as they come in.
    pub clickhouse: Option<ClickHouse>,
}

/// `[store.clickhouse]`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClickHouse {
    /// `http(s)://HOST[:PORT][/DATABASE]`; several are tried in turn.
    #[schemars(with = "Vec<String>")]
    pub urls: Vec<Spanned<String>>,
    /// Account there.
    pub user: Option<String>,
    /// File whose first line is the password.
    pub password_file: Option<PathBuf>,
    /// Certificates to trust instead of the public ones.
    pub ca: Option<PathBuf>,
}

/// `[control]`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Control {
    /// The Unix-domain socket; whoever may open it is the operator.
    pub socket: Option<PathBuf>,
    /// Its mode, octal.
    #[serde(deserialize_with = "value::mode")]
    #[schemars(with = "Option<value::Written>")]
    pub mode: Option<u32>,
    /// A socket for `pcap-dump --via`, which shows the packets.
    pub capture: Option<PathBuf>,
    /// Bytes of the newest packets that are kept, to be frozen when something is odd.
    #[serde(deserialize_with = "value::room")]
    #[schemars(with = "Option<value::Written>")]
    pub capture_keep: Option<u64>,
    /// A directory on a BPF file system, for `pcap-dump --at xdp`.
    pub capture_pin: Option<PathBuf>,
    /// A group whose members may look on, too: its name or number.
    #[serde(deserialize_with = "value::group")]
    #[schemars(with = "Option<value::Written>")]
    pub capture_group: Option<u32>,
    /// A socket that everybody may open: a tenant's token shows that tenant's packets there.
    pub capture_tenants: Option<PathBuf>,
    /// What freezes the kept packets: `invalid`, `loss=20%`.
    #[serde(deserialize_with = "value::triggers")]
    #[schemars(with = "Vec<String>")]
    pub capture_trigger: Vec<Trigger>,
    /// Where those files go.
    pub capture_dir: Option<PathBuf>,
    /// An address of TCP, where everybody needs a token.
    #[schemars(with = "Option<String>")]
    pub listen: Option<Spanned<String>>,
    /// File with the operator's token.
    pub token_file: Option<PathBuf>,
}

/// `[exclude]`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Exclude {
    /// Addresses, blocks, ranges.
    #[schemars(with = "Vec<String>")]
    pub targets: Vec<Spanned<String>>,
    /// Lists of the same, one a line; or URLs of such.
    pub files: Vec<PathBuf>,
}

/// `[[tenant]]`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tenant {
    /// Letters, digits, `.`, `_` and `-`: it is a directory's name, too.
    #[schemars(with = "String")]
    pub name: Spanned<String>,
    /// How much of the node is its own when more is asked for than there is.
    #[serde(default, deserialize_with = "value::weight")]
    #[schemars(with = "Option<value::Written>")]
    pub weight: Option<f64>,
    /// Probes a second that it may send at most.
    #[serde(default, deserialize_with = "value::rate")]
    #[schemars(with = "Option<value::Written>")]
    pub max_pps: Option<u64>,
    /// Targets of all its measurements together, at most.
    pub max_targets: Option<u64>,
    /// It may probe these alone: addresses, blocks, ranges.
    #[schemars(with = "Option<Vec<String>>")]
    pub allow: Option<Vec<Spanned<String>>>,
    /// It may not probe these.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub deny: Vec<Spanned<String>>,
    /// File with a token that shows this tenant, and no other, in the control interface.
    pub token_file: Option<PathBuf>,
    /// Its measurements rest.
    #[serde(default)]
    pub paused: bool,
}

/// `[[measurement]]`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Measurement {
    /// One of its kind in its tenant.
    #[schemars(with = "String")]
    pub name: Spanned<String>,
    /// Whose it is.
    #[schemars(with = "String")]
    pub tenant: Spanned<String>,
    /// Addresses, blocks, ranges, host names.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub targets: Vec<Spanned<String>>,
    /// Lists of the same, one a line.
    #[serde(default)]
    pub files: Vec<PathBuf>,
    /// Between two probes of one target.
    #[serde(default, deserialize_with = "value::interval")]
    #[schemars(with = "Option<value::Written>")]
    pub interval: Option<u64>,
    /// Probes of each target; else no end.
    #[serde(default, deserialize_with = "value::count")]
    #[schemars(with = "Option<value::Written>")]
    pub count: Option<u32>,
    /// How long an answer is waited for.
    #[serde(default, deserialize_with = "value::timeout")]
    #[schemars(with = "Option<value::Written>")]
    pub timeout: Option<u64>,
    /// Payload bytes.
    #[serde(default, deserialize_with = "value::size")]
    #[schemars(with = "Option<value::Written>")]
    pub size: Option<u16>,
    /// Differentiated services code point, by number or name.
    #[serde(default, deserialize_with = "value::dscp")]
    #[schemars(with = "Option<value::Written>")]
    pub dscp: Option<u8>,
    /// TTL or hop limit.
    #[serde(default, deserialize_with = "value::hop_limit")]
    #[schemars(with = "Option<value::Written>")]
    pub hop_limit: Option<u8>,
    /// ECMP paths probed of each target.
    #[serde(default, deserialize_with = "value::flows")]
    #[schemars(with = "Option<value::Written>")]
    pub flows: Option<u16>,
    /// Words of the operator's own, for whoever reads the configuration.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}
