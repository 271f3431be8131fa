//! What is wrong with the link of a node, and the rules of the switch that make it so.

use std::collections::BTreeSet;
use std::fmt::{self, Write};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A way along a link, seen from its node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// What comes to the node.
    In,
    /// What goes out from it.
    Out,
}

impl Direction {
    /// Both ways.
    pub const BOTH: [Self; 2] = [Self::In, Self::Out];
}

impl fmt::Display for Direction {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::In => "in",
            Self::Out => "out",
        })
    }
}

/// Nothing gets through.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Cut {
    /// Which way.
    pub direction: Direction,
    /// Only what comes from, or goes to, this node; without, everything.
    pub peer: Option<String>,
}

/// A share of packets, in hundredths of a percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Percent(u16);

impl fmt::Display for Percent {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{:02} %", self.0 / 100, self.0 % 100)
    }
}

impl FromStr for Percent {
    type Err = String;

    /// `5`, `0.25`, `12.5%`.
    fn from_str(text: &str) -> Result<Self, String> {
        let refused =
            || format!("{text:?} is no percentage: give a number from 0 to 100, with up to two decimals");
        let (whole, part) =
            text.trim_end_matches('%').split_once('.').unwrap_or((text.trim_end_matches('%'), "0"));
        if part.is_empty() || part.len() > 2 || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(refused());
        }
        let whole: u16 = whole.parse().map_err(|_| refused())?;
        let part: u16 = format!("{part:0<2}").parse().map_err(|_| refused())?;
        let hundredths = whole.checked_mul(100).and_then(|whole| whole.checked_add(part));
        hundredths.filter(|hundredths| *hundredths <= 10_000).map(Self).ok_or_else(refused)
    }
}

/// Bits per second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate(u64);

impl Rate {
    /// How much may pass at once after a silence, in bytes: the kernel looks a hundred times a second or more.
    pub(crate) fn burst_bytes(self) -> u64 {
        (self.0 / 8 / 100).max(16 * 1024)
    }

    /// Bits per second.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} kbit/s", self.0 / 1_000)
    }
}

impl FromStr for Rate {
    type Err = String;

    /// `500kbit`, `10mbit`, `1gbit`.
    fn from_str(text: &str) -> Result<Self, String> {
        let refused = || format!("{text:?} is no rate: give one like 500kbit, 10mbit or 1gbit");
        let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
        let unit = match &text[digits.len()..] {
            "bit" => 1,
            "kbit" => 1_000,
            "mbit" => 1_000_000,
            "gbit" => 1_000_000_000,
            _ => return Err(refused()),
        };
        let number: u64 = digits.parse().map_err(|_| refused())?;
        let bits = number.checked_mul(unit).filter(|bits| (8_000..=100_000_000_000).contains(bits));
        bits.map(Self).ok_or_else(refused)
    }
}

/// All that is wrong with one link.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkFaults {
    /// What does not get through.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub cuts: BTreeSet<Cut>,
    /// What share of the packets gets lost, each way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss: Option<Percent>,
    /// How much passes, each way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    /// Larger packets get lost, each way, and nobody is told: in bytes, with their headers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub largest: Option<u16>,
}

impl LinkFaults {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// The rules for the link of `node`. A port of the switch is called like its node. Who has which address (ARP) is
    /// still told: else a link that is cut one way would fall silent both ways.
    fn rules(&self, node: &str, rules: &mut String) {
        for cut in &self.cuts {
            let (own, other) = ends(cut.direction);
            let peer = cut.peer.as_ref().map(|peer| format!("{other} \"{peer}\" ")).unwrap_or_default();
            let _ = writeln!(rules, "    {own} \"{node}\" {peer}ether type != arp counter drop");
        }
        for (own, _) in self.loss.iter().flat_map(|_| Direction::BOTH.map(ends)) {
            let Percent(share) = self.loss.expect("there is a loss in this loop");
            let _ = writeln!(
                rules,
                "    {own} \"{node}\" ether type != arp numgen random mod 10000 < {share} counter drop"
            );
        }
        let Some(largest) = self.largest else { return };
        for (own, _) in Direction::BOTH.map(ends) {
            let _ = writeln!(
                rules,
                "    {own} \"{node}\" ether type != arp meta length > {largest} counter drop"
            );
        }
    }
}

/// How a rule names the link's own port and the one at the other end.
const fn ends(direction: Direction) -> (&'static str, &'static str) {
    match direction {
        Direction::In => ("oifname", "iifname"),
        Direction::Out => ("iifname", "oifname"),
    }
}

/// The whole packet filter of the switch, for `nft -f`, which replaces the last one at once.
pub(crate) fn ruleset<'a>(links: impl Iterator<Item = (&'a str, &'a LinkFaults)>) -> String {
    let mut rules = String::new();
    for (node, faults) in links {
        faults.rules(node, &mut rules);
    }
    format!(
        "table bridge faults\ndelete table bridge faults\ntable bridge faults {{\n  chain links {{\n    \
         type filter hook forward priority 0; policy accept;\n{rules}  }}\n}}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(faults: &LinkFaults) -> Vec<String> {
        let text = ruleset([("s1", faults)].into_iter());
        let lines = text.lines().filter(|line| line.contains("drop"));
        lines.map(|line| line.trim().to_owned()).collect()
    }

    #[test]
    fn a_cut_drops_its_way_and_leaves_addresses_known() {
        let cut = |direction, peer: Option<&str>| {
            let cuts = [Cut { direction, peer: peer.map(str::to_owned) }].into();
            rules(&LinkFaults { cuts, ..LinkFaults::default() })
        };
        assert_eq!(cut(Direction::In, None), [r#"oifname "s1" ether type != arp counter drop"#]);
        assert_eq!(
            cut(Direction::Out, Some("a2")),
            [r#"iifname "s1" oifname "a2" ether type != arp counter drop"#]
        );
        assert!(rules(&LinkFaults::default()).is_empty());
    }

    #[test]
    fn percentages_are_exact_or_refused() {
        for (text, expected) in [("5", 500), ("0.25", 25), ("12.5%", 1250), ("100", 10_000), ("0", 0)] {
            assert_eq!(text.parse(), Ok(Percent(expected)), "{text}");
        }
        for text in ["", "%", "101", "100.01", "1.234", "-1", "a", "5.", ".5", "99999"] {
            assert!(text.parse::<Percent>().is_err(), "{text}");
        }
    }

    #[test]
    fn rates_name_their_unit() {
        for (text, expected) in [("500kbit", 500_000), ("10mbit", 10_000_000), ("1gbit", 1_000_000_000)] {
            assert_eq!(text.parse(), Ok(Rate(expected)), "{text}");
        }
        for text in ["", "10", "mbit", "1bit", "10mbps", "-1mbit", "1000gbit"] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
    }
}
