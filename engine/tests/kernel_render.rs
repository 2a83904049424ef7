//! Two renderers, one packet: what the program in the kernel makes of an order is what `craft` makes of it, byte for
//! byte, and nothing of what was in the frame before is left in it.
//!
//! Needs root: it loads an eBPF program (attached to nothing) and runs it by `BPF_PROG_TEST_RUN`.

use megaping_loader::{Kernel, KernelConfig, Verdict};
use megaping_probe::craft::Words;
use megaping_probe::{Craft, Nanos, Order};
use megaping_wire::Addr;

/// Places of the maps among the shared ones.
const DESKS: usize = 0;
const ORDERS: usize = 1;
const WAYS: usize = 2;
const FILL: usize = 3;

const WAY_COUNT: u32 = 64;
const FILL_LEN: usize = 4096;
/// Of each thread, one on each core.
const ORDER_COUNT: u32 = 1_000_000;
const LONGEST_PAYLOAD: u64 = 3_000;

/// splitmix64: the same orders every time.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn address(&mut self, v4: bool) -> Addr {
        if v4 {
            Addr::v4((self.next() as u32).to_be_bytes())
        } else {
            Addr::from_bits(u128::from(self.next() | 1 << 61) << 64 | u128::from(self.next()))
        }
    }

    fn order(&mut self, sources: &[[Addr; 2]]) -> (Order, u16) {
        let way = self.below(sources.len() as u64) as u16;
        let v4 = self.below(2) == 0;
        // Most runs have the default size; the others have any.
        let payload_len = match self.below(4) {
            0 | 1 => 32,
            2 => 24 + self.below(80),
            _ => 24 + self.below(LONGEST_PAYLOAD - 24),
        };
        let order = Order {
            key: self.next() >> 10,
            ordered_at: Nanos(self.next()),
            mac: self.next(),
            destination: self.address(v4),
            source: sources[usize::from(way)][usize::from(!v4)],
            identifier: self.next() as u16,
            sequence: self.next() as u16,
            payload_len: payload_len as u16,
            flow: self.next() as u16,
            hop_limit: self.next() as u8,
            traffic_class: self.next() as u8,
        };
        (order, way)
    }
}

/// Random next hops, two ways each, and what stands in them.
fn write_ways(kernel: &Kernel, random: &mut Random) -> (Vec<[Addr; 2]>, Vec<[u8; 12]>) {
    let (mut sources, mut macs) = (Vec::new(), Vec::new());
    for hop in 0..WAY_COUNT / 2 {
        let source = [random.address(true), random.address(false)];
        let mac: [u8; 12] = std::array::from_fn(|_| random.next() as u8);
        for (family, ether_type) in [(0u32, [8, 0]), (1, [0x86, 0xdd])] {
            let way = [&mac[..], &ether_type, &[0, 0], &source[family as usize].0].concat();
            kernel.write(WAYS, 2 * hop + family, &way).expect("a way");
        }
        sources.push(source);
        macs.push(mac);
    }
    (sources, macs)
}

/// `struct mp_order`.
fn bytes_of(order: &Order, words: &Words, way: u16) -> Vec<u8> {
    let mut bytes = order.destination.0.to_vec();
    words.header.iter().for_each(|word| bytes.extend(word));
    bytes.extend(words.first);
    bytes.extend(words.second);
    bytes.extend(words.echo);
    bytes.extend(words.checksum);
    bytes.extend((2 * way + u16::from(!order.destination.is_v4())).to_ne_bytes());
    bytes.extend([0; 8]);
    assert_eq!(bytes.len(), 64);
    bytes
}

/// One order, one shard, one desk; everything else of a `struct mp_desk` zero.
fn desk_with_one_order(slot: u32) -> Vec<u8> {
    let mut desk = vec![0; 384];
    desk[..4].copy_from_slice(&slot.to_ne_bytes());
    desk[4..8].copy_from_slice(&1u32.to_ne_bytes());
    desk
}

fn render_many(kernel: &Kernel, craft: &Craft, cpu: u32, sources: &[[Addr; 2]], macs: &[[u8; 12]]) -> u64 {
    assert!(core_affinity::set_for_current(core_affinity::CoreId { id: cpu as usize }), "a core of its own");
    let mut random = Random(u64::from(cpu) + 77);
    let slot = cpu * 256;
    let desk = desk_with_one_order(slot);
    let (mut crafted, mut bytes) = (vec![0; 4096], 0);
    for number in 0..ORDER_COUNT {
        let (order, way) = random.order(sources);
        let words = craft.words(&order).expect("its payload holds our header");
        let len = craft.render(&order, &mut crafted).expect("it fits");
        assert_eq!(len, usize::from(words.len));
        kernel.write(ORDERS, slot, &bytes_of(&order, &words, way)).expect("an order");
        kernel.write(DESKS, cpu, &desk).expect("a desk");
        // As a page of the pool: longer than the packet, at times exactly as long, and full of something else.
        let spare = if random.below(2) == 0 { 0 } else { random.below(3_200 - len as u64) as usize };
        let (verdict, frame) = kernel.test_render(&vec![0xa5; 14 + len + spare]).expect("a run");
        assert_eq!(verdict, Verdict::Transmit, "order {number}: {order:?}");
        let ether_type: [u8; 2] = if order.destination.is_v4() { [8, 0] } else { [0x86, 0xdd] };
        assert_eq!(frame[..12], macs[usize::from(way)]);
        assert_eq!(frame[12..14], ether_type);
        assert_eq!(frame[14..], crafted[..len], "order {number}: {order:?}");
        bytes += frame.len() as u64;
    }
    bytes
}

#[test]
fn root_two_million_orders_are_rendered_as_craft_renders_them() {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from).min(2) as u32;
    let config = KernelConfig {
        identifier_value: 0x4c00,
        identifier_mask: 0xfc00,
        shards: cpus,
        ways: WAY_COUNT,
        replies: 64,
        small: 64,
        large: 16,
    };
    let kernel = Kernel::load(&config).expect("this test needs root");
    let mut random = Random(1);
    let (sources, macs) = write_ways(&kernel, &mut random);
    let craft = Craft::new(&(0..13).map(|_| random.next() as u8).collect::<Vec<u8>>());
    let mut fill = vec![0; FILL_LEN];
    craft.write_fill(&mut fill);
    kernel.write(FILL, 0, &fill).expect("the fill");
    let bytes: u64 = std::thread::scope(|scope| {
        let run = |cpu| {
            let (kernel, craft, sources, macs) = (&kernel, &craft, &sources[..], &macs[..]);
            scope.spawn(move || render_many(kernel, craft, cpu, sources, macs))
        };
        let threads: Vec<_> = (0..cpus).map(run).collect();
        threads.into_iter().map(|thread| thread.join().expect("all are equal")).sum()
    });
    assert!(bytes > u64::from(cpus * ORDER_COUNT) * 74, "only {bytes} bytes were compared");
}

#[test]
fn root_a_frame_without_an_order_goes_nowhere() {
    let config = KernelConfig {
        identifier_value: 0x4c00,
        identifier_mask: 0xfc00,
        shards: 1,
        ways: 2,
        replies: 64,
        small: 64,
        large: 16,
    };
    let kernel = Kernel::load(&config).expect("this test needs root");
    let (verdict, frame) = kernel.test_render(&[0xa5; 100]).expect("a run");
    assert_eq!((verdict, frame), (Verdict::Drop, vec![0xa5; 100]));
    // Nor does one whose order names no way, or is longer than a frame can become.
    core_affinity::set_for_current(core_affinity::CoreId { id: 0 });
    let mut random = Random(5);
    let sources = [[random.address(true), random.address(false)]];
    let craft = Craft::new(&[]);
    for (way, payload_len) in [(900, 32), (0, 4_000)] {
        let order = Order { payload_len, ..random.order(&sources).0 };
        let words = craft.words(&order).expect("words");
        kernel.write(ORDERS, 0, &bytes_of(&order, &words, way)).expect("an order");
        kernel.write(DESKS, 0, &desk_with_one_order(0)).expect("a desk");
        let (verdict, _) = kernel.test_render(&[0; 100]).expect("a run");
        assert_eq!(verdict, Verdict::Drop);
        let told = kernel.read(ORDERS, 0).expect("the order");
        assert_eq!(told[56..], 2u64.to_ne_bytes(), "the slot says that there was no room");
    }
}
