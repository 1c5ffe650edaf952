//! Two peers, the wires between them, and a clock: all of it values.
//!
//! A wire holds what one side has written and the other has not read, at most [`SOCKET`] octets, as a socket does.

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use lb_bgp::{
    Action, Asn, ConnId, Down, Event, PathAttributes, Peer, PeerAs, PeerConfig, PeerState, Prefix, RouterId, Routes,
};

/// What the sockets of a wire hold in one direction.
pub(crate) const SOCKET: usize = 100_000;

/// One of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Left,
    Right,
}

impl Side {
    pub(crate) fn other(self) -> Self {
        match self {
            Self::Left => Self::Right,
            Self::Right => Self::Left,
        }
    }
}

/// A speaker and what the world does to it.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) peer: Peer,
    address: IpAddr,
    /// Somebody listens there.
    pub(crate) listens: bool,
    /// Nothing comes back from there when it is called.
    pub(crate) silent: bool,
    /// It reads its sockets.
    pub(crate) reads: bool,
    /// Every action, for the tests.
    pub(crate) log: Vec<Action>,
}

#[derive(Debug)]
struct Wire {
    left: ConnId,
    right: ConnId,
    to_left: Vec<u8>,
    to_right: Vec<u8>,
    /// The side that has closed it.
    closed: Option<Side>,
    /// Both have.
    ended: bool,
}

#[derive(Debug)]
pub(crate) struct Net {
    pub(crate) now: Instant,
    pub(crate) left: Node,
    pub(crate) right: Node,
    wires: Vec<Wire>,
    /// Octets of a read.
    pub(crate) piece: usize,
    /// Packets get through.
    pub(crate) connected: bool,
    /// What happens before everything else: at a wire and its end (0 to 3) so many octets arrive, or a call gets through (4).
    pub(crate) order: Vec<(usize, usize)>,
    /// Calls that have not got through.
    calls: Vec<(Side, ConnId)>,
}

pub(crate) fn asn(number: u32) -> Asn {
    Asn::new(number).expect("an AS number")
}

pub(crate) fn config(local: u32, peer: u32, id: &str) -> PeerConfig {
    PeerConfig::new(
        asn(local),
        PeerAs::Exactly(asn(peer)),
        RouterId::new(id.parse().expect("an address")).expect("not 0"),
    )
}

/// External peers over IPv4; the right one is passive.
pub(crate) fn pair() -> (PeerConfig, PeerConfig) {
    let mut right = config(64513, 64512, "192.0.2.2");
    right.passive = true;
    (config(64512, 64513, "192.0.2.1"), right)
}

pub(crate) fn routes<'a>(prefixes: impl IntoIterator<Item = &'a str>) -> Arc<Routes> {
    let attributes = Arc::new(PathAttributes::default());
    let prefix = |text: &str| {
        let (address, length) = text.split_once('/').expect("a prefix");
        Prefix::new(address.parse().expect("an address"), length.parse().expect("a length")).expect("a prefix")
    };
    Arc::new(prefixes.into_iter().map(|text| (prefix(text), Arc::clone(&attributes))).collect())
}

impl Net {
    pub(crate) fn new(left: PeerConfig, right: PeerConfig) -> Self {
        Self::between(left, "192.0.2.1", right, "192.0.2.2")
    }

    pub(crate) fn between(left: PeerConfig, left_at: &str, right: PeerConfig, right_at: &str) -> Self {
        let now = Instant::now();
        let node = |config: PeerConfig, at: &str, seed| Node {
            peer: Peer::new(now, config, false, seed).expect("a good configuration"),
            address: at.parse().expect("an address"),
            listens: true,
            silent: false,
            reads: true,
            log: Vec::new(),
        };
        let (left, right) = (node(left, left_at, 1), node(right, right_at, 2));
        Self { now, left, right, wires: Vec::new(), piece: 7, connected: true, order: Vec::new(), calls: Vec::new() }
    }

    pub(crate) fn node(&mut self, side: Side) -> &mut Node {
        match side {
            Side::Left => &mut self.left,
            Side::Right => &mut self.right,
        }
    }

    /// Lets `time` pass.
    pub(crate) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            self.settle();
            let due = [&self.left, &self.right].into_iter().filter_map(|node| node.peer.poll_timeout()).min();
            match due.filter(|due| *due <= end) {
                Some(due) => self.now = self.now.max(due),
                None => break,
            }
            for side in [Side::Left, Side::Right] {
                let now = self.now;
                self.node(side).peer.handle(now, Event::Timer);
            }
        }
        self.now = end;
    }

    pub(crate) fn run_secs(&mut self, seconds: u64) {
        self.run(Duration::from_secs(seconds));
    }

    /// An event of one side, and everything that follows at once.
    pub(crate) fn tell(&mut self, side: Side, event: Event<'_>) {
        let now = self.now;
        self.node(side).peer.handle(now, event);
        self.settle();
    }

    pub(crate) fn states(&self) -> [PeerState; 2] {
        [self.left.peer.status().state, self.right.peer.status().state]
    }

    /// How a side's sessions ended, since the last look.
    pub(crate) fn downs(&mut self, side: Side) -> Vec<Down> {
        let log = std::mem::take(&mut self.node(side).log);
        log.into_iter().filter_map(|action| if let Action::Down(down) = action { Some(down) } else { None }).collect()
    }

    /// How many connections there are.
    pub(crate) fn wires(&self) -> usize {
        self.wires.len()
    }

    /// What one side has written and the other has not read.
    pub(crate) fn unread(&self) -> usize {
        self.wires.iter().map(|wire| wire.to_left.len() + wire.to_right.len()).sum()
    }

    /// Does what can be done now.
    fn settle(&mut self) {
        for _ in 0..1_000_000 {
            let mut busy = false;
            for side in [Side::Left, Side::Right] {
                busy |= self.act(side) | self.write(side) | self.end(side);
            }
            self.wires.retain(|wire| !wire.ended);
            let next = if self.wires.is_empty() && self.calls.is_empty() { None } else { self.order.pop() };
            busy |= next.is_some();
            busy |= match next {
                Some((4.., count)) => self.call(count),
                Some((which, count)) => self.deliver(which, count),
                None => self.call(0) | self.read(Side::Left) | self.read(Side::Right),
            };
            if !busy {
                return;
            }
        }
        panic!("the two never come to rest: {:?}", self.states());
    }

    /// A call gets through, if there is one.
    fn call(&mut self, which: usize) -> bool {
        let Some(at) = which.checked_rem(self.calls.len()) else { return false };
        let (side, conn) = self.calls.remove(at);
        self.connect(side, conn);
        true
    }

    fn act(&mut self, side: Side) -> bool {
        let mut busy = false;
        while let Some(action) = self.node(side).peer.poll_action() {
            busy = true;
            self.node(side).log.push(action.clone());
            self.carry_out(side, action);
        }
        busy
    }

    /// Some octets of one direction of one wire.
    fn deliver(&mut self, which: usize, count: usize) -> bool {
        let side = if which.is_multiple_of(2) { Side::Left } else { Side::Right };
        let now = self.now;
        let Some(wire) = self.wires.get_mut(which / 2).filter(|wire| wire.closed != Some(side)) else { return true };
        let conn = wire.end(side);
        let to = wire.to(side);
        let octets: Vec<u8> = to.drain(..count.min(to.len())).collect();
        self.node(side).peer.handle(now, Event::Received { conn, octets: &octets });
        true
    }

    fn carry_out(&mut self, side: Side, action: Action) {
        match action {
            Action::Connect(_) if !self.connected || self.node(side.other()).silent => {} // no answer
            Action::Connect(conn) => self.calls.push((side, conn)),
            Action::Close { conn, last_words } => {
                // What was written before is still read, then the words, then the end.
                let wire = self.wires.iter_mut().find(|wire| wire.end(side) == conn && wire.closed != Some(side));
                let Some(wire) = wire else { return self.calls.retain(|call| *call != (side, conn)) };
                wire.to(side.other()).extend(last_words);
                wire.ended |= wire.closed.is_some();
                wire.closed = Some(side);
            }
            Action::Up(_) | Action::Down(_) | Action::Failed(_) => {}
        }
    }

    fn connect(&mut self, side: Side, conn: ConnId) {
        let now = self.now;
        let (ours, theirs) = (self.node(side).address, self.node(side.other()).address);
        if !self.node(side.other()).listens {
            let error = "connection refused".to_owned();
            return self.node(side).peer.handle(now, Event::ConnectFailed { conn, error });
        }
        let accepted = self.node(side.other()).peer.accept(now, theirs);
        self.node(side).peer.handle(now, Event::Connected { conn, local: ours });
        match accepted {
            Err(octets) => {
                let peer = &mut self.node(side).peer;
                peer.handle(now, Event::Received { conn, octets: &octets });
                peer.handle(now, Event::Closed { conn });
            }
            Ok(accepted) => {
                let (left, right) = if side == Side::Left { (conn, accepted) } else { (accepted, conn) };
                let (to_left, to_right) = (Vec::new(), Vec::new());
                self.wires.push(Wire { left, right, to_left, to_right, closed: None, ended: false });
            }
        }
    }

    fn write(&mut self, side: Side) -> bool {
        let mut busy = false;
        for wire in self.wires.iter_mut().filter(|wire| wire.closed != Some(side)) {
            let (conn, now) = (wire.end(side), self.now);
            let lost = wire.closed.is_some();
            let to = wire.to(side.other());
            let room = SOCKET.saturating_sub(to.len());
            let node = if side == Side::Left { &mut self.left } else { &mut self.right };
            let some: Vec<u8> = node.peer.output(now, conn).iter().copied().take(room).collect();
            if some.is_empty() {
                continue;
            }
            if !lost {
                to.extend_from_slice(&some);
            }
            node.peer.handle(now, Event::Written { conn, count: some.len() });
            busy = true;
        }
        busy
    }

    fn read(&mut self, side: Side) -> bool {
        let (piece, now, connected) = (self.piece, self.now, self.connected);
        let mut busy = false;
        for wire in self.wires.iter_mut().filter(|wire| wire.closed != Some(side)) {
            let conn = wire.end(side);
            let node = if side == Side::Left { &mut self.left } else { &mut self.right };
            if !node.reads || !connected {
                continue;
            }
            let octets = std::mem::take(wire.to(side));
            busy |= !octets.is_empty();
            octets.chunks(piece).for_each(|octets| node.peer.handle(now, Event::Received { conn, octets }));
        }
        busy
    }

    /// Tells a side of the end of what the other has closed, when all of it is read.
    fn end(&mut self, side: Side) -> bool {
        let (now, connected) = (self.now, self.connected);
        let mut busy = false;
        for wire in self.wires.iter_mut().filter(|wire| wire.closed == Some(side.other()) && !wire.ended) {
            if !connected || !wire.to(side).is_empty() {
                continue;
            }
            let conn = wire.end(side);
            let node = if side == Side::Left { &mut self.left } else { &mut self.right };
            node.peer.handle(now, Event::Closed { conn });
            wire.ended = true;
            busy = true;
        }
        busy
    }
}

impl Wire {
    fn end(&self, side: Side) -> ConnId {
        match side {
            Side::Left => self.left,
            Side::Right => self.right,
        }
    }

    fn to(&mut self, side: Side) -> &mut Vec<u8> {
        match side {
            Side::Left => &mut self.to_left,
            Side::Right => &mut self.to_right,
        }
    }
}
