//! `probe` and `everything`: the real shard over the memory ring, and what the store thread does with it.

use std::sync::Arc;

use megaping::adapter::PacketAdapter;
use megaping::responder;
use megaping::run::{RunPlan, Walk};
use megaping::shard::{Shard, Wall};
use megaping_probe::{Core, Identity, Ping, Plan, Ring};
use megaping_ring::{Faults, MemoryConfig, MemoryRing, Responder, Virtual};
use megaping_store::batch::{Batch, Lane, lane};

use super::StageArgs;
use super::encode::Blocks;
use super::internet::Internet;
use crate::Result;
use crate::load::{self, RTT_NS, SECOND, SECTION_BREATHS, START};
use crate::meter::Meter;

/// A shard and the store's end of its queue.
pub struct Rig<R> {
    /// The shard.
    pub shard: Shard<R, Ping<Walk>>,
    /// Where its outcomes come out.
    pub lane: Arc<Lane>,
}

/// Reading the virtual clock moves it on by this much.
const READ_NS: u64 = 100;

/// A shard over a memory ring with this far end, which answers after one round trip.
pub fn rig(plan: Plan, ping: Ping<Walk>, far_end: impl Responder, buffers: u32) -> Rig<impl Ring> {
    let faults = Faults { delay_ns: RTT_NS, ..Faults::default() };
    let config = MemoryConfig { mtu: 128, capacity: buffers, faults, seed: 0 };
    let ring = MemoryRing::new(Virtual::new(START.0, READ_NS), far_end, &config);
    let (desk, lane) = lane(0, RunPlan::seats(&plan));
    let core = Core::new(plan, ping, Identity::new(0, 0, [7; 16]));
    let adapter = PacketAdapter::new(ring, load::craft());
    let mut shard = Shard::new(adapter, core, desk, Arc::default(), Wall::Fixed(0));
    shard.begin(START);
    Rig { shard, lane }
}

impl<R: Ring> Rig<R> {
    /// A section of breaths; returns how many probes ended in it.
    fn breathe(&mut self) -> Result<u64> {
        let before = self.shard.core().ledger().ended();
        for _ in 0..SECTION_BREATHS {
            self.shard.step()?;
        }
        Ok(self.shard.core().ledger().ended() - before)
    }

    /// What came out of the lane.
    pub fn drain(&self, mut each: impl FnMut(&mut Batch)) {
        while let Some(mut batch) = self.lane.take() {
            each(&mut batch);
            self.lane.give_back(batch);
        }
    }

    /// The first second fills the in-flight table, and is not measured.
    fn warm_up(&mut self) -> Result<()> {
        while self.shard.core().ledger().last_sent < START + SECOND + 2 * RTT_NS {
            self.breathe()?;
            self.drain(|_| ());
        }
        Ok(())
    }

    fn check(&self) -> Result<()> {
        let ledger = self.shard.core().ledger();
        let astray = ledger.lost + ledger.invalid + ledger.late + ledger.foreign + ledger.unsent_total();
        if ledger.balances() && astray == 0 {
            Ok(())
        } else {
            Err(format!("probes went astray: {ledger:?}").into())
        }
    }
}

fn answering(args: &StageArgs) -> Result<Rig<impl Ring + use<>>> {
    let (plan, ping) = load::load(args.family, args.targets)?;
    // Room for what is under way in one round trip, and for a late breath.
    let buffers = (args.targets * 2 * RTT_NS / SECOND) as u32 + 1024;
    Ok(rig(plan, ping, responder::echo, buffers))
}

/// The shard alone.
pub fn probe(args: &StageArgs, meter: &mut Meter) -> Result<()> {
    let mut rig = answering(args)?;
    rig.warm_up()?;
    while meter.probes() < args.probes {
        let mut result = Ok(0);
        meter.run(|| {
            result = rig.breathe();
            *result.as_ref().unwrap_or(&0)
        });
        result?;
        rig.drain(|_| ());
    }
    rig.check()
}

/// The shard, and a store that encodes a block whenever one is full.
pub fn everything(args: &StageArgs, meter: &mut Meter) -> Result<u64> {
    let mut rig = answering(args)?;
    let mut internet = Internet::new(args.targets);
    let mut blocks = Blocks::new()?;
    let block_rows = blocks.block_rows() as u64;
    rig.warm_up()?;
    let mut bytes = 0;
    let mut warm = false;
    while meter.probes() < args.probes {
        let mut batches: Vec<Box<Batch>> = Vec::new();
        let mut held = 0;
        while held < block_rows {
            let mut result = Ok(0);
            on_meter(warm, meter, || {
                result = rig.breathe();
                // Rows are counted when they are encoded.
                0
            });
            result?;
            while let Some(mut batch) = rig.lane.take() {
                batch.rows.iter_mut().for_each(|row| internet.suffer(row));
                held += batch.rows.len() as u64;
                batches.push(batch);
            }
        }
        let mut result = Ok(0);
        on_meter(warm, meter, || {
            for batch in batches.drain(..) {
                blocks.push(&batch.rows);
                rig.lane.give_back(batch);
            }
            result = blocks.encode();
            held
        });
        result?;
        if !warm {
            bytes = blocks.bytes();
        }
        warm = true;
    }
    rig.check()?;
    Ok(blocks.bytes() - bytes)
}

fn on_meter(on: bool, meter: &mut Meter, work: impl FnOnce() -> u64) {
    if on {
        meter.run(work);
    } else {
        work();
    }
}
