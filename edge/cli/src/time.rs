//! Time as people write and read it.

use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kogge_model::time::Timestamp;
use kogge_model::view::Moment;

/// `500ms`, `5s`, `5m`, `2h`, `1d`, `1h30m`; a plain number is seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span(pub Duration);

impl Span {
    /// In whole milliseconds.
    pub(crate) fn millis(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refused = || "expected a time such as 500ms, 5s, 5m, 2h or 1h30m".to_owned();
        let mut total = Duration::ZERO;
        let mut rest = text;
        if rest.is_empty() {
            return Err(refused());
        }
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
            let (number, after) = rest.split_at(digits);
            let letters = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
            let (unit, next) = after.split_at(letters);
            let millis: u64 = match unit {
                "ms" => 1,
                "s" => 1_000,
                "" if digits == text.len() => 1_000,
                "m" | "min" => 60_000,
                "h" => 3_600_000,
                "d" => 86_400_000,
                _ => return Err(refused()),
            };
            let part = crate::quantity::decimal(number, millis).ok_or_else(refused)?;
            total = total.checked_add(Duration::from_millis(part)).ok_or_else(refused)?;
            rest = next;
        }
        Ok(Self(total))
    }
}

/// How long something is good for: a span, or `never`, which means that it never ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// So long.
    For(Span),
    /// Until somebody ends it.
    Endless,
}

impl FromStr for Life {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "never" { Ok(Self::Endless) } else { text.parse().map(Self::For) }
    }
}

/// A span back from now, or a point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// So long ago.
    Ago(Span),
    /// Exactly then.
    At(Moment),
}

impl Since {
    /// The point in time that is meant.
    pub(crate) fn moment(self, now: Timestamp) -> Moment {
        match self {
            Self::Ago(span) => Moment(now.minus(span.0)),
            Self::At(moment) => moment,
        }
    }
}

impl FromStr for Since {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let at = text.parse().map(Self::At);
        at.or_else(|_| text.parse().map(Self::Ago))
            .map_err(|_: String| "expected a time such as 5m, 2h or 2026-11-21T14:45:00Z".to_owned())
    }
}

/// The wall clock.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}

/// How long ago `moment` was: `12s`, `5m`, `3h`, `2d`.
pub(crate) fn ago(moment: Moment, now: Timestamp) -> String {
    span(now.saturating_since(moment.0).as_secs())
}

/// Seconds in the largest unit that leaves at least two of it, so that it stays short and not too coarse.
pub(crate) fn span(secs: u64) -> String {
    match secs {
        0..120 => format!("{secs}s"),
        120..7_200 => format!("{}m", secs / 60),
        7_200..172_800 => format!("{}h", secs / 3_600),
        _ => format!("{}d", secs / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn spans_are_read_as_people_write_them() {
        for (text, millis) in [
            ("500ms", 500),
            ("5s", 5_000),
            ("90", 90_000),
            ("5m", 300_000),
            ("1.5h", 5_400_000),
            ("1h30m", 5_400_000),
            ("1d", 86_400_000),
        ] {
            assert_eq!(text.parse::<Span>().map(Span::millis), Ok(millis), "{text}");
        }
        for bad in ["", "m", "5x", "5m30", "-5m", "5 m", "1h 30m", "99999999999999999999d"] {
            assert!(bad.parse::<Span>().is_err(), "{bad}");
        }
    }

    #[test]
    fn since_is_a_span_or_a_point_in_time() {
        let now = Timestamp::from_secs(1_000);
        assert_eq!("5m".parse::<Since>().unwrap().moment(now).0, Timestamp::from_secs(700));
        assert_eq!("1970-01-01T00:00:02Z".parse::<Since>().unwrap().moment(now).0, Timestamp::from_secs(2));
        assert_eq!("2h".parse::<Since>().unwrap().moment(now).0, Timestamp::ZERO);
        assert!("yesterday".parse::<Since>().is_err());
    }

    #[test]
    fn spans_read_well() {
        for (secs, text) in
            [(0, "0s"), (119, "119s"), (120, "2m"), (7_199, "119m"), (86_400, "24h"), (200_000, "2d")]
        {
            assert_eq!(span(secs), text);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,24}") {
            let _ = (text.parse::<Span>(), text.parse::<Since>());
        }
    }
}
