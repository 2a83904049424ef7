//! What `ethtool` knows of an interface, by the ioctl that every kernel has (`<linux/ethtool.h>`).

use std::ffi::c_char;
use std::io;

use super::Device;

const GDRVINFO: u32 = 0x03;
const GRINGPARAM: u32 = 0x10;
const GSTRINGS: u32 = 0x1b;
const GSTATS: u32 = 0x1d;
const GCHANNELS: u32 = 0x3c;
const GET_TS_INFO: u32 = 0x41;
/// `ETH_SS_STATS`: the names of the counters.
const NAMES_OF_COUNTERS: u32 = 1;
/// `ETH_GSTRING_LEN`.
const NAME_LEN: usize = 32;
/// More counters than that are not read.
const COUNTERS_MAX: u32 = 1 << 14;
/// Counters that may appear (a queue is added) between asking how many there are and reading them: the kernel
/// writes as many as there are then, whatever we said.
const COUNTERS_SPARE: u32 = 1 << 14;

/// Who drives the interface.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Driver {
    /// `virtio_net`, `ena`, `veth`.
    pub name: String,
    /// Of the driver, or of the kernel it belongs to.
    pub version: String,
    /// Of the device.
    pub firmware: String,
    /// Where the device is: for PCI its address.
    pub bus: String,
    /// How many counters it has.
    pub counters: u32,
}

/// Queues: how many there are, and how many there can be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[expect(missing_docs, reason = "the names of ethtool -l")]
pub struct Channels {
    pub rx: u32,
    pub tx: u32,
    pub combined: u32,
    pub rx_max: u32,
    pub tx_max: u32,
    pub combined_max: u32,
}

/// Descriptors in the device's own rings.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[expect(missing_docs, reason = "the names of ethtool -g")]
pub struct RingSizes {
    pub rx: u32,
    pub tx: u32,
    pub rx_max: u32,
    pub tx_max: u32,
}

/// Who can stamp packets (`SOF_TIMESTAMPING_*`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[expect(missing_docs, reason = "the names of ethtool -T")]
#[expect(clippy::struct_excessive_bools, reason = "each is a bit of its own")]
pub struct Stamping {
    pub software_transmit: bool,
    pub software_receive: bool,
    pub hardware_transmit: bool,
    pub hardware_receive: bool,
}

#[repr(C)]
struct DriverInfo {
    command: u32,
    driver: [u8; 32],
    version: [u8; 32],
    firmware: [u8; 32],
    bus: [u8; 32],
    rom: [u8; 32],
    reserved: [u8; 12],
    private_flags: u32,
    counters: u32,
    test_len: u32,
    eeprom_len: u32,
    registers_len: u32,
}

#[repr(C)]
struct ChannelsInfo {
    command: u32,
    max: [u32; 4],
    count: [u32; 4],
}

#[repr(C)]
struct RingInfo {
    command: u32,
    max: [u32; 4],
    now: [u32; 4],
}

#[repr(C)]
struct StampInfo {
    command: u32,
    stamping: u32,
    clock: i32,
    transmit_types: u32,
    transmit_reserved: [u32; 3],
    receive_filters: u32,
    receive_reserved: [u32; 3],
}

// As the kernel has them.
const _: () = assert!(
    size_of::<DriverInfo>() == 196
        && size_of::<ChannelsInfo>() == 36
        && size_of::<RingInfo>() == 36
        && size_of::<StampInfo>() == 44
);

impl Device {
    /// Who drives it (`ETHTOOL_GDRVINFO`).
    ///
    /// # Errors
    /// `EOPNOTSUPP` where the driver does not say, as the loopback's.
    pub fn driver(&self) -> io::Result<Driver> {
        // SAFETY: all zeros is a value of this structure of integers.
        let mut info: DriverInfo = unsafe { std::mem::zeroed() };
        info.command = GDRVINFO;
        self.query(&mut info)?;
        Ok(Driver {
            name: text(&info.driver),
            version: text(&info.version),
            firmware: text(&info.firmware),
            bus: text(&info.bus),
            counters: info.counters,
        })
    }

    /// Its queues (`ETHTOOL_GCHANNELS`).
    ///
    /// # Errors
    /// `EOPNOTSUPP` where the driver does not say.
    pub fn channels(&self) -> io::Result<Channels> {
        let mut info = ChannelsInfo { command: GCHANNELS, max: [0; 4], count: [0; 4] };
        self.query(&mut info)?;
        // Receive, transmit, other, combined.
        let ([rx_max, tx_max, _, combined_max], [rx, tx, _, combined]) = (info.max, info.count);
        Ok(Channels { rx, tx, combined, rx_max, tx_max, combined_max })
    }

    /// Its rings (`ETHTOOL_GRINGPARAM`).
    ///
    /// # Errors
    /// `EOPNOTSUPP` where the driver does not say.
    pub fn ring_sizes(&self) -> io::Result<RingSizes> {
        let mut info = RingInfo { command: GRINGPARAM, max: [0; 4], now: [0; 4] };
        self.query(&mut info)?;
        // Receive, mini, jumbo, transmit.
        let ([rx_max, _, _, tx_max], [rx, _, _, tx]) = (info.max, info.now);
        Ok(RingSizes { rx, tx, rx_max, tx_max })
    }

    /// Who can stamp its packets (`ETHTOOL_GET_TS_INFO`).
    ///
    /// # Errors
    /// `EOPNOTSUPP` where the driver does not say.
    pub fn stamping(&self) -> io::Result<Stamping> {
        // SAFETY: all zeros is a value of this structure of integers.
        let mut info: StampInfo = unsafe { std::mem::zeroed() };
        info.command = GET_TS_INFO;
        self.query(&mut info)?;
        let has = |bit: u32| info.stamping & bit != 0;
        Ok(Stamping {
            hardware_transmit: has(libc::SOF_TIMESTAMPING_TX_HARDWARE),
            software_transmit: has(libc::SOF_TIMESTAMPING_TX_SOFTWARE),
            hardware_receive: has(libc::SOF_TIMESTAMPING_RX_HARDWARE),
            software_receive: has(libc::SOF_TIMESTAMPING_RX_SOFTWARE),
        })
    }

    /// The driver's own counters by name (`ethtool -S`).
    ///
    /// # Errors
    /// `EOPNOTSUPP` where it has none.
    pub fn counters(&self) -> io::Result<Vec<(String, u64)>> {
        let count = self.driver()?.counters;
        if count == 0 || count > COUNTERS_MAX {
            return Err(io::Error::from_raw_os_error(libc::EOPNOTSUPP));
        }
        let room = (count + COUNTERS_SPARE) as usize;
        // Command, set and length, then the names.
        let mut names = vec![0u32; 3 + room * NAME_LEN / size_of::<u32>()];
        (names[0], names[1], names[2]) = (GSTRINGS, NAMES_OF_COUNTERS, count);
        // SAFETY: the buffer has room for the header and for `COUNTERS_SPARE` names more than there were a
        // moment ago, and outlives the call.
        unsafe { self.ethtool(names.as_mut_ptr().cast::<c_char>())? };
        let named = (names[2] as usize).min(room);
        let name_bytes: Vec<u8> = names[3..].iter().flat_map(|word| word.to_ne_bytes()).collect();

        // Command and length, then the values, each of eight bytes.
        let mut values = vec![0u64; 1 + room];
        values[0] = header(GSTATS, count);
        // SAFETY: as above, with room for as many values.
        unsafe { self.ethtool(values.as_mut_ptr().cast::<c_char>())? };
        let pairs = name_bytes.chunks_exact(NAME_LEN).map(text).zip(values.into_iter().skip(1));
        Ok(pairs.take(named).collect())
    }

    fn query<T>(&self, info: &mut T) -> io::Result<()> {
        // SAFETY: `info` is one of the structures above, of the layout that the kernel has for the command in it
        // (asserted above), and outlives the call.
        unsafe { self.ethtool(std::ptr::from_mut(info).cast()) }
    }
}

/// Two words in the order in which they lie in memory.
fn header(first: u32, second: u32) -> u64 {
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&first.to_ne_bytes());
    bytes[4..].copy_from_slice(&second.to_ne_bytes());
    u64::from_ne_bytes(bytes)
}

/// Up to the first zero; what a driver says is not always text.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    let text = String::from_utf8_lossy(&bytes[..end]);
    text.trim().chars().filter(|c| !c.is_control()).collect()
}
