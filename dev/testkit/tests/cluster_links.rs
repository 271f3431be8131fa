//! Links of a bed: what is cut is cut, what is lost is lost, and a rate is kept.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use kogge_testkit::cluster::{Bed, Direction, Fault, Namespace, Node, Role};

/// After so long a datagram does not come any more: it has no further to go than to the other side of the kernel.
const SILENCE: Duration = Duration::from_millis(300);
const PATIENCE: Duration = Duration::from_secs(30);

/// Two nodes and the clients.
fn bed() -> Bed {
    let mut bed = Bed::for_test().unwrap();
    bed.add("a1", Role::Agent, None).unwrap();
    bed.add("s1", Role::Server, None).unwrap();
    bed
}

fn socket(network: &Namespace, address: std::net::Ipv4Addr) -> UdpSocket {
    let socket = network.inside(|| UdpSocket::bind((address, 0))).unwrap().unwrap();
    socket.set_read_timeout(Some(SILENCE)).unwrap();
    socket
}

fn of_node(node: &Node) -> UdpSocket {
    socket(&node.network(), node.address)
}

/// Whether a datagram gets from one to the other. Where one is expected to, a lost one is no answer yet: others follow.
fn reaches(from: &UdpSocket, to: &UdpSocket, expected: bool) -> bool {
    static NUMBERS: AtomicU64 = AtomicU64::new(0);
    let deadline = Instant::now() + if expected { PATIENCE } else { Duration::ZERO };
    loop {
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        from.send_to(&number, to.local_addr().unwrap()).unwrap();
        let mut received = [0; 8];
        // A late one of those before is not meant.
        while to.recv(&mut received).is_ok() {
            if received == number {
                return true;
            }
        }
        if Instant::now() >= deadline {
            return false;
        }
    }
}

fn cut(direction: Option<Direction>, peer: Option<&str>) -> Fault {
    Fault::Cut { direction, peer: peer.map(str::to_owned) }
}

#[test]
fn a_cut_is_one_way_or_both_and_heals() {
    let mut bed = bed();
    let [a, s] = ["a1", "s1"].map(|name| of_node(bed.node(name).unwrap()));
    let c = socket(&bed.client(), bed.record().client.address);
    let ways = |expected: [bool; 5], what: &str| {
        let ways = [(&a, &s), (&s, &a), (&a, &c), (&c, &a), (&s, &c)];
        let found = std::array::from_fn(|way| reaches(ways[way].0, ways[way].1, expected[way]));
        assert_eq!(found, expected, "{what}");
    };
    ways([true; 5], "nothing is cut at first");
    bed.fault("a1", &cut(Some(Direction::In), None)).unwrap();
    ways([true, false, true, false, true], "nothing comes in");
    bed.fault("a1", &Fault::Heal).unwrap();
    ways([true; 5], "all is healed");
    bed.fault("a1", &cut(Some(Direction::Out), None)).unwrap();
    ways([false, true, false, true, true], "nothing goes out");
    bed.fault("a1", &Fault::Heal).unwrap();
    bed.fault("a1", &cut(None, None)).unwrap();
    ways([false, false, false, false, true], "neither");
    bed.fault("a1", &Fault::Heal).unwrap();
    bed.fault("a1", &cut(Some(Direction::Out), Some("s1"))).unwrap();
    ways([false, true, true, true, true], "one way between two nodes");
    bed.fault("a1", &Fault::Heal).unwrap();
    bed.fault("a1", &cut(None, Some("client"))).unwrap();
    ways([true, true, false, false, true], "away from the clients alone");
    bed.fault("a1", &Fault::Heal).unwrap();
    ways([true; 5], "all is healed");
    bed.down().unwrap();
}

#[test]
fn a_node_that_is_cut_off_is_silent_and_does_not_refuse() {
    let mut bed = bed();
    let to = SocketAddr::from((bed.node("s1").unwrap().address, 9));
    let from = bed.node("a1").unwrap().network();
    let kind = |limit| from.connect(to, limit).unwrap_err().kind();
    assert_eq!(kind(PATIENCE), std::io::ErrorKind::ConnectionRefused);
    bed.fault("s1", &cut(None, None)).unwrap();
    assert_eq!(kind(SILENCE), std::io::ErrorKind::TimedOut);
    bed.down().unwrap();
}

#[test]
fn a_loss_takes_its_share_of_the_packets() {
    const SENT: usize = 1000;
    const BURST: usize = 50;
    let mut bed = bed();
    let [a, s] = ["a1", "s1"].map(|name| of_node(bed.node(name).unwrap()));
    // In small bursts: what does not fit into the receiver's buffer would be lost too.
    let received = || -> usize {
        (0..SENT / BURST)
            .map(|_| {
                for _ in 0..BURST {
                    a.send_to(b"x", s.local_addr().unwrap()).unwrap();
                }
                std::iter::from_fn(|| s.recv(&mut [0; 8]).ok()).take(BURST).count()
            })
            .sum()
    };
    assert_eq!(received(), SENT);
    bed.fault("a1", &Fault::Loss("30".parse().unwrap())).unwrap();
    let some = received();
    assert!((600..800).contains(&some), "{some} of {SENT} came through a link that loses 30 %");
    bed.fault("a1", &Fault::Heal).unwrap();
    assert_eq!(received(), SENT);
    bed.down().unwrap();
}

#[test]
fn packets_over_a_size_get_lost_each_way() {
    let mut bed = bed();
    let [a, s] = ["a1", "s1"].map(|name| of_node(bed.node(name).unwrap()));
    // With 28 bytes of headers.
    let arrives = |from: &UdpSocket, to: &UdpSocket, bytes: usize| {
        from.send_to(&vec![7; bytes], to.local_addr().unwrap()).unwrap();
        to.recv(&mut [0; 2_000]).is_ok_and(|received| received == bytes)
    };
    bed.fault("a1", &Fault::Packets(600)).unwrap();
    for (from, to) in [(&a, &s), (&s, &a)] {
        assert!(arrives(from, to, 572) && !arrives(from, to, 573));
    }
    bed.fault("a1", &Fault::Heal).unwrap();
    assert!(arrives(&a, &s, 1_400) && arrives(&s, &a, 1_400));
    bed.down().unwrap();
}

#[test]
fn a_rate_slows_both_ways_down_to_it() {
    // Half a MiB in a second, and ten times that otherwise.
    const BYTES: usize = 1 << 20;
    let mut bed = bed();
    let [a, s] = ["a1", "s1"].map(|name| bed.node(name).unwrap().clone());
    let took = |from: &Node, to: &Node| {
        let listener = to.network().inside(|| TcpListener::bind((to.address, 0))).unwrap().unwrap();
        let at = listener.local_addr().unwrap();
        let begun = Instant::now();
        std::thread::scope(|scope| {
            scope.spawn(|| from.network().connect(at, PATIENCE).unwrap().write_all(&[0; BYTES]).unwrap());
            let mut all = Vec::new();
            listener.accept().unwrap().0.read_to_end(&mut all).unwrap();
            assert_eq!(all.len(), BYTES);
        });
        begun.elapsed()
    };
    let free = took(&a, &s).max(took(&s, &a));
    bed.fault("a1", &Fault::Bandwidth("4mbit".parse().unwrap())).unwrap();
    for (from, to) in [(&a, &s), (&s, &a)] {
        let limited = took(from, to);
        assert!(limited > Duration::from_millis(1700), "{limited:?} from {}", from.name);
        assert!(limited > free * 2, "{limited:?}, and {free:?} without a rate");
    }
    bed.fault("a1", &Fault::Heal).unwrap();
    assert!(took(&a, &s) < Duration::from_millis(1700));
    bed.down().unwrap();
}

#[test]
fn beds_side_by_side_do_not_see_each_other() {
    let beds = [bed(), bed()];
    let sockets = beds.each_ref().map(|bed| of_node(bed.node("s1").unwrap()));
    let own = beds.each_ref().map(|bed| of_node(bed.node("a1").unwrap()));
    assert_ne!(beds[0].record().tag, beds[1].record().tag);
    assert!(reaches(&own[0], &sockets[0], true) && reaches(&own[1], &sockets[1], true));
    // There may be no way at all, which is an error at once.
    let sent = own[0].send_to(b"x", sockets[1].local_addr().unwrap());
    assert!(sent.is_err() || sockets[1].recv(&mut [0; 8]).is_err());
    for bed in beds {
        bed.down().unwrap();
    }
}
