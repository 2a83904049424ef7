//! Where captured packets go: pcapng, classic pcap or text; one file or many; compressed or not.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use megaping_capture::pcapng::{Link, Writer, classic_header, classic_packet};
use megaping_capture::{At, Captured, Counts, Hello};

use crate::{LinkType, Record, dissect};

/// zstd's level: captures are mostly headers, which the fastest compresses well.
const LEVEL: i32 = 1;

/// The form of a capture.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// With comments, directions and statistics.
    Pcapng,
    /// Packets alone.
    Pcap,
    /// Lines for people.
    Text,
}

/// How files are made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Output {
    /// Where to; none: standard output.
    pub path: Option<PathBuf>,
    /// In which form.
    pub format: Format,
    /// What packets begin with.
    pub link: Link,
    /// Bytes of a packet that are kept; zero: all.
    pub snaplen: u32,
    /// Whether it is compressed.
    pub zstd: bool,
    /// Another file after so many bytes: `FILE`, `FILE1`, `FILE2` ...
    pub rotate_bytes: Option<u64>,
    /// Another file after so long: the name is a pattern of strftime(3).
    pub rotate_time: Option<Duration>,
    /// So many files at most: by size they take turns, by time that is the end.
    pub files: Option<u64>,
}

/// A file cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("{}: cannot be written: {source}", .path.as_deref().unwrap_or(Path::new("standard output")).display())]
pub struct OutputError {
    path: Option<PathBuf>,
    /// The system's error.
    pub source: io::Error,
}

/// The file at hand, and those before it.
pub struct Files {
    output: Output,
    hello: Hello,
    sink: Sink,
    path: Option<PathBuf>,
    number: u64,
    began: Instant,
    written: u64,
    span_ns: Option<(u64, u64)>,
    packets: u64,
}

type Raw = Box<dyn Write>;

enum Sink {
    Pcapng(Box<Writer<Raw>>),
    Pcap(Raw),
    Text(Raw),
}

impl Files {
    /// Makes the first file.
    ///
    /// # Errors
    /// [`OutputError`]
    pub fn create(output: Output, hello: Hello) -> Result<Files, OutputError> {
        let (path, sink) = open(&output, &hello, 0)?;
        let began = Instant::now();
        Ok(Files { output, hello, sink, path, number: 0, began, written: 0, span_ns: None, packets: 0 })
    }

    fn failed(&self, source: io::Error) -> OutputError {
        OutputError { path: self.path.clone(), source }
    }

    /// Writes a packet, into another file where it is time for one.
    pub(crate) fn packet(&mut self, packet: &Captured) -> Result<(), OutputError> {
        if self.output.rotate_bytes.is_some_and(|most| self.written >= most) {
            self.rotate()?;
        }
        self.packets += 1;
        let number = self.packets;
        let snaplen = self.output.snaplen;
        let written = match &mut self.sink {
            Sink::Pcapng(writer) => writer.packet(packet),
            Sink::Pcap(out) => classic_packet(out, packet, snaplen),
            Sink::Text(out) => line(out, packet, number),
        };
        self.written += written.map_err(|error| self.failed(error))? as u64;
        let (first, last) = self.span_ns.unwrap_or((packet.time_ns, packet.time_ns));
        self.span_ns = Some((first.min(packet.time_ns), last.max(packet.time_ns)));
        Ok(())
    }

    /// Lets time pass: what is written can be read, and a file that is old is followed by another.
    pub(crate) fn tick(&mut self) -> Result<(), OutputError> {
        if self.output.rotate_time.is_some_and(|time| self.began.elapsed() >= time) {
            self.rotate()?;
        }
        let flushed = self.sink.out().flush();
        flushed.map_err(|error| self.failed(error))
    }

    fn rotate(&mut self) -> Result<(), OutputError> {
        self.number += 1;
        if self.is_over() {
            return Ok(());
        }
        self.finish(&Counts::default())?;
        (self.path, self.sink) = open(&self.output, &self.hello, self.number)?;
        (self.began, self.written, self.span_ns) = (Instant::now(), 0, None);
        Ok(())
    }

    /// Ends the file; `counts` are its statistics.
    pub(crate) fn finish(&mut self, counts: &Counts) -> Result<(), OutputError> {
        let (first, last) = self.span_ns.unwrap_or_default();
        let ended = match &mut self.sink {
            Sink::Pcapng(writer) => writer.statistics(counts, first, last),
            Sink::Pcap(_) | Sink::Text(_) => Ok(()),
        };
        ended.and_then(|()| self.sink.out().flush()).map_err(|error| self.failed(error))
    }

    /// Whether all files that there may be are full.
    pub(crate) fn is_over(&self) -> bool {
        self.output.rotate_time.is_some() && self.output.files.is_some_and(|most| self.number >= most)
    }
}

impl Sink {
    fn out(&mut self) -> &mut Raw {
        match self {
            Sink::Pcapng(writer) => writer.get_mut(),
            Sink::Pcap(out) | Sink::Text(out) => out,
        }
    }
}

fn open(output: &Output, hello: &Hello, number: u64) -> Result<(Option<PathBuf>, Sink), OutputError> {
    let path = output.path.as_ref().map(|path| name(output, path, number));
    let failed = |source| OutputError { path: path.clone(), source };
    let raw: Raw = match &path {
        None => Box::new(BufWriter::new(io::stdout())),
        Some(path) => Box::new(BufWriter::with_capacity(1 << 18, create(path).map_err(failed)?)),
    };
    let mut raw: Raw = if output.zstd {
        Box::new(zstd::Encoder::new(raw, LEVEL).map_err(failed)?.auto_finish())
    } else {
        raw
    };
    let sink = match output.format {
        Format::Pcapng => {
            let writer = Writer::new(raw, hello, output.link, output.snaplen, "");
            Sink::Pcapng(Box::new(writer.map_err(failed)?))
        }
        Format::Pcap => {
            classic_header(&mut raw, output.link, output.snaplen).map_err(failed)?;
            Sink::Pcap(raw)
        }
        Format::Text => Sink::Text(raw),
    };
    Ok((path, sink))
}

/// What others' packets say is nobody else's business.
fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

/// As tcpdump names files.
fn name(output: &Output, path: &Path, number: u64) -> PathBuf {
    if output.rotate_time.is_some() {
        let text = jiff::fmt::strtime::format(path.as_os_str().as_encoded_bytes(), &jiff::Zoned::now());
        return text.map_or_else(|_| path.to_owned(), PathBuf::from);
    }
    let turn = output.files.map_or(number, |files| number % files.max(1));
    let width = output.files.map_or(0, |files| files.saturating_sub(1).to_string().len());
    match (output.rotate_bytes, output.files, turn) {
        (None, _, _) | (_, None, 0) => path.to_owned(),
        _ => format!("{}{turn:0width$}", path.display()).into(),
    }
}

fn line(out: &mut Raw, packet: &Captured, number: u64) -> io::Result<usize> {
    let record = Record {
        number,
        time_ns: Some(packet.time_ns),
        link: match packet.at {
            At::Engine => LinkType::Raw,
            At::Xdp => LinkType::Ethernet,
        },
        data: &packet.bytes,
        original_len: packet.original_len,
    };
    let text = format!("{}  {}\n", dissect(&record), packet.comment());
    out.write_all(text.as_bytes())?;
    Ok(text.len())
}
