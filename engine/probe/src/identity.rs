//! Who a probe belongs to: the ICMP identifier, and the MAC that a reply must bring back.
//!
//! ```text
//!  identifier   15        10 9     7 6            0
//!              +------------+-------+--------------+
//!              |  instance  | shard | of the target|
//!              +------------+-------+--------------+
//! ```
//!
//! The identifier is stable for a (instance, shard, target), so a stateful firewall or a cloud's connection
//! tracker sees one flow per target and not one per probe. Its upper nine bits name instance and shard:
//! filters and steering compare those bits and need no table.

use megaping_wire::Addr;
use siphasher::sip::SipHasher13;

use crate::border::Evidence;

/// Instances that can run beside each other on one network stack.
pub const INSTANCES: u16 = 64;
/// Shards that one instance can have.
pub const SHARDS: u16 = 8;
/// The identifier's bits that name instance and shard.
pub const PREFIX_MASK: u16 = 0xff80;

/// The identifier's bits that name the instance alone.
pub const INSTANCE_MASK: u16 = 0xfc00;

/// Bits of an order's key that travel in the payload.
pub const KEY_BITS: u32 = 48;

/// The identity of one shard: its identifier prefix and the run's secret.
#[derive(Clone, Copy, Debug)]
pub struct Identity {
    prefix: u16,
    sip: SipHasher13,
}

impl Identity {
    /// The identity of `shard` of `instance`; numbers beyond [`INSTANCES`] and [`SHARDS`] wrap. The secret
    /// must be unpredictable, and the same in every shard of a run.
    #[must_use]
    pub fn new(instance: u16, shard: u16, secret: [u8; 16]) -> Identity {
        let prefix = ((instance % INSTANCES) << 10) | ((shard % SHARDS) << 7);
        Identity { prefix, sip: SipHasher13::new_with_key(&secret) }
    }

    /// The upper bits that every identifier of this shard carries; compare under [`PREFIX_MASK`].
    #[must_use]
    pub const fn prefix(&self) -> u16 {
        self.prefix
    }

    /// Which shard of this instance an identifier names; `None` where it names another instance.
    #[inline]
    #[must_use]
    pub const fn owner(&self, identifier: u16) -> Option<u16> {
        if (identifier ^ self.prefix) >> 10 == 0 { Some(identifier >> 7 & (SHARDS - 1)) } else { None }
    }

    /// The identifier of probes to `destination`.
    #[inline]
    #[must_use]
    pub fn identifier(&self, destination: &Addr) -> u16 {
        let bits = destination.to_bits();
        let folded = (bits >> 64) as u64 ^ bits as u64;
        self.prefix | (folded.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 57) as u16
    }

    /// The MAC of a probe: SipHash-1-3 over all that a reply is trusted for. One of 2^64 guesses passes;
    /// somebody who does not see our probes can do no better than guess.
    #[inline]
    #[must_use]
    pub fn mac(&self, destination: &Addr, identifier: u16, sequence: u16, key: u64, ordered_ns: u64) -> u64 {
        // No key comes twice in a run, and a key belongs to one destination: what is folded together here cannot
        // be played off against each other.
        let bits = destination.to_bits();
        let address = ((bits >> 64) as u64).rotate_left(32) ^ bits as u64;
        let identity = u64::from(sequence) << KEY_BITS | key & ((1 << KEY_BITS) - 1);
        let time = ordered_ns ^ u64::from(identifier) << 48;
        let mut message = [0; 24];
        message[..8].copy_from_slice(&address.to_le_bytes());
        message[8..16].copy_from_slice(&identity.to_le_bytes());
        message[16..].copy_from_slice(&time.to_le_bytes());
        self.sip.hash(&message)
    }

    /// Whether a payload header is one that this run wrote for a probe to `destination`.
    #[inline]
    #[must_use]
    pub fn verify(&self, destination: &Addr, identifier: u16, sequence: u16, evidence: &Evidence) -> bool {
        self.mac(destination, identifier, sequence, evidence.key, evidence.ordered_at.0) == evidence.mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Nanos;

    #[test]
    fn an_identifier_names_its_shard_and_stays_the_same() {
        let secret = [7; 16];
        for instance in [0, 1, 63] {
            for shard in 0..SHARDS {
                let identity = Identity::new(instance, shard, secret);
                let target = Addr::v4([10, 0, 0, 1]);
                assert_eq!(identity.identifier(&target) & PREFIX_MASK, identity.prefix());
                assert_eq!(identity.owner(identity.identifier(&target)), Some(shard));
                assert_eq!(identity.owner(identity.identifier(&target) ^ 1 << 10), None);
                assert_eq!(identity.identifier(&target), identity.identifier(&target));
            }
        }
        assert_ne!(Identity::new(1, 2, secret).prefix(), Identity::new(2, 1, secret).prefix());
    }

    #[test]
    fn every_trusted_field_is_under_the_mac() {
        let identity = Identity::new(3, 1, *b"0123456789abcdef");
        let to = Addr::v4([192, 0, 2, 9]);
        let evidence =
            Evidence { key: 77, ordered_at: Nanos(123), mac: identity.mac(&to, 0x0d80, 77, 77, 123) };
        assert!(identity.verify(&to, 0x0d80, 77, &evidence));
        assert!(!identity.verify(&Addr::v4([192, 0, 2, 8]), 0x0d80, 77, &evidence));
        assert!(!identity.verify(&to, 0x0d81, 77, &evidence));
        assert!(!identity.verify(&to, 0x0d80, 78, &evidence));
        assert!(!identity.verify(&to, 0x0d80, 77, &Evidence { key: 78, ..evidence }));
        assert!(!identity.verify(&to, 0x0d80, 77, &Evidence { ordered_at: Nanos(124), ..evidence }));
        assert!(!identity.verify(&to, 0x0d80, 77, &Evidence { mac: evidence.mac ^ 1, ..evidence }));
        let other = Identity::new(3, 1, *b"0123456789abcdeg");
        assert!(!other.verify(&to, 0x0d80, 77, &evidence));
    }

    #[test]
    fn neighbours_spread_over_the_identifiers() {
        let identity = Identity::new(0, 0, [0; 16]);
        let mut seen = std::collections::HashSet::new();
        for last in 0..=255u8 {
            seen.insert(identity.identifier(&Addr::v4([198, 51, 100, last])));
        }
        assert!(seen.len() > 100, "only {} of 128 identifiers used by a /24", seen.len());
    }
}
