//! The far end of `--backend memory`: a host that answers every echo request, in a function.

use megaping_wire::icmp::Message;
use megaping_wire::{checksum, icmpv4, icmpv6, ipv4, ipv6};

/// Answers an echo request as any host would: addresses swapped, type changed, checksum kept right by the
/// difference (RFC 1624). `None` for anything else, and for a reply buffer that is too short.
#[inline]
pub fn echo(request: &[u8], reply: &mut [u8]) -> Option<usize> {
    let reply = reply.get_mut(..request.len())?;
    let v4 = request.first()? >> 4 == 4;
    let (at, asked, answered) = if v4 {
        let packet = ipv4::Packet::new_checked(request).ok()?;
        (packet.header_len(), icmpv4::ECHO_REQUEST, icmpv4::ECHO_REPLY)
    } else {
        let packet = ipv6::Packet::new_checked(request).ok()?;
        (request.len() - packet.payload().len(), icmpv6::ECHO_REQUEST, icmpv6::ECHO_REPLY)
    };
    reply.copy_from_slice(request);
    if v4 {
        let (source, destination) = (&request[12..16], &request[16..20]);
        reply[12..16].copy_from_slice(destination);
        reply[16..20].copy_from_slice(source);
    } else {
        reply[8..24].copy_from_slice(&request[24..40]);
        reply[24..40].copy_from_slice(&request[8..24]);
    }
    let mut message = Message::new_checked(&mut reply[at..]).ok()?;
    if message.message_type() != asked {
        return None;
    }
    let word = |icmp_type: u8| u16::from_be_bytes([icmp_type, 0]);
    let sum = checksum::update_u16(message.checksum(), word(asked), word(answered));
    message.set_message_type(answered);
    message.set_checksum(sum);
    Some(request.len())
}
