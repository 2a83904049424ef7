//! How the node probes, keeps and listens, as the sections `[node]`, `[store]` and `[control]` say.

use megaping_probe::work::Class;
use megaping_store::clickhouse::{Endpoint, Password, Server, Timeouts};
use megaping_store::upload::UploadOptions;

use super::file;
use super::resolve::{HOP_LIMIT, Reader, SIZE, TIMEOUT_NS};
use crate::capture::CaptureOptions;
use crate::cli::{
    ArchiveFormat, Backend, OutputFormat, Payload, PingOptions, SpoolFull, SpoolLimit, SummaryFormat,
};
use crate::daemon::agenda::Agenda;
use crate::daemon::control::{Caller, ControlOptions};
use crate::targets::TargetRequest;

/// Where the file does not say.
const MAX_PPS: u64 = 10_000;
const BURST: u32 = 64;

impl Reader<'_> {
    pub(super) fn options(&mut self, file: &file::File, agenda: &Agenda) -> PingOptions {
        let largest = |of: fn(&Class) -> u64, least: u64| {
            agenda.measurements.iter().map(|measurement| of(&measurement.class)).max().unwrap_or(least)
        };
        PingOptions {
            targets: TargetRequest::default(),
            count: None,
            interval_ns: None,
            rate_pps: Some(file.node.max_pps.unwrap_or(MAX_PPS)),
            timeout_ns: largest(|class| class.timeout_ns, TIMEOUT_NS),
            duration_ns: None,
            payload_len: largest(|class| class.payload_len.into(), SIZE.into()) as u16,
            payload: Payload::Zero,
            hop_limit: HOP_LIMIT,
            dscp: 0,
            backend: file.node.backend.unwrap_or(Backend::Auto),
            burst: file.node.burst.unwrap_or(BURST),
            shards: file.node.shards.unwrap_or(1),
            busy_poll: false,
            interface: file.node.interface.clone(),
            source_v4: None,
            source_v6: None,
            seed: None,
            output: OutputFormat::None,
            summary: SummaryFormat::None,
            store: file.store.dir.as_ref().map(|dir| self.base.join(dir)),
            archive: file.store.archive.clone().unwrap_or(ArchiveFormat::Parquet),
            tenant: String::new(),
            upload: file.store.clickhouse.as_ref().map(|clickhouse| self.upload(clickhouse)),
            capture: file.control.capture.as_ref().map(|socket| CaptureOptions {
                socket: self.base.join(socket),
                keep: file.control.capture_keep.unwrap_or(0),
                pins: file.control.capture_pin.as_ref().map(|dir| self.base.join(dir)),
                group: file.control.capture_group,
                tenants: file.control.capture_tenants.as_ref().map(|socket| self.base.join(socket)),
                triggers: file.control.capture_trigger.clone(),
                dir: file.control.capture_dir.as_ref().map_or(self.base.clone(), |dir| self.base.join(dir)),
            }),
            spool_limit: file
                .store
                .spool_max
                .map(|bytes| SpoolLimit { bytes, policy: file.store.spool_full.unwrap_or(SpoolFull::Block) }),
        }
    }

    pub(super) fn control(&mut self, file: &file::File) -> ControlOptions {
        let written = &file.control;
        let base = self.base.clone();
        let mode = written.mode.unwrap_or(0o600);
        let listen = written.listen.as_ref().and_then(|listen| {
            let address = listen.get_ref().parse();
            if address.is_err() {
                let text = listen.get_ref();
                self.wrong(
                    listen,
                    format!("\"{text}\" is no address to listen on: give one as in 127.0.0.1:8686"),
                );
            }
            address.ok()
        });
        let operator = written.token_file.iter().map(|path| (base.join(path), Caller::Operator));
        let of_tenant = |tenant: &file::Tenant| {
            let caller = || Caller::Tenant(tenant.name.get_ref().clone());
            tenant.token_file.as_ref().map(|path| (base.join(path), caller()))
        };
        let tokens: Vec<_> = operator.chain(file.tenant.iter().filter_map(of_tenant)).collect();
        if let Some(listen) = written.listen.as_ref().filter(|_| tokens.is_empty()) {
            self.wrong(listen, "nobody could use it: give control.token_file, or a token_file to a tenant");
        }
        let socket = written.socket.as_ref().map(|socket| (base.join(socket), mode));
        ControlOptions { socket, listen, tokens }
    }

    fn upload(&mut self, written: &file::ClickHouse) -> UploadOptions {
        let mut endpoints: Vec<Endpoint> = Vec::new();
        for url in &written.urls {
            match url.get_ref().parse() {
                Ok(endpoint) => endpoints.push(endpoint),
                Err(error) => self.wrong(url, format!("{error}")),
            }
        }
        let password = written
            .password_file
            .as_ref()
            .map_or(Password::None, |path| Password::File(self.base.join(path)));
        let (user, ca) = (written.user.clone(), written.ca.as_ref().map(|ca| self.base.join(ca)));
        UploadOptions {
            server: Server { endpoints, user, password, ca },
            tenant: String::new(),
            timeouts: Timeouts::default(),
            parallel: 1,
            bytes_per_s: None,
        }
    }
}
