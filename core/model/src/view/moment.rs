//! A point in time as text.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// A [`Timestamp`] that stands in JSON as RFC 3339 text: `2026-11-21T14:45:47.123Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(value_type = String, format = "date-time"))]
pub struct Moment(pub Timestamp);

/// Why a text is not a point in time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a time: use RFC 3339 as in 2026-11-21T14:45:47Z")]
pub struct MomentError {
    /// The text that was refused.
    pub text: String,
}

impl From<Timestamp> for Moment {
    fn from(at: Timestamp) -> Self {
        Self(at)
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<Moment> for String {
    fn from(moment: Moment) -> Self {
        moment.to_string()
    }
}

impl TryFrom<String> for Moment {
    type Error = MomentError;

    fn try_from(text: String) -> Result<Self, MomentError> {
        text.parse()
    }
}

impl FromStr for Moment {
    type Err = MomentError;

    /// RFC 3339 §5.6 `date-time`, from 1970 on; a leap second counts as the second after it.
    fn from_str(text: &str) -> Result<Self, MomentError> {
        parse(text).map(Self).ok_or_else(|| MomentError { text: text.to_owned() })
    }
}

fn parse(text: &str) -> Option<Timestamp> {
    let (date, rest) = text.split_at_checked(10)?;
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let (clock, rest) = rest.split_at_checked(8)?;
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let [hours, minutes, seconds] = numbers(clock, ':', [2, 2, 2])?;
    let is_real = year >= 1970
        && (1..=12).contains(&month)
        && (1..=days_in(year, month)).contains(&day)
        && hours < 24
        && minutes < 60
        && seconds <= 60;
    if !is_real {
        return None;
    }
    let (micros, zone) = fraction(rest)?;
    let secs = days_since_epoch(year, month, day) * 86_400 + hours * 3_600 + minutes * 60 + seconds;
    let at = Timestamp::from_micros(secs.checked_mul(1_000_000)?.checked_add(micros)?);
    shift(at, zone)
}

/// Numbers of exactly these widths between separators.
fn numbers(text: &str, separator: char, widths: [usize; 3]) -> Option<[u64; 3]> {
    let mut found = [0u64; 3];
    let mut parts = text.split(separator);
    for (slot, width) in found.iter_mut().zip(widths) {
        let part = parts.next()?;
        let is_number = part.len() == width && part.bytes().all(|b| b.is_ascii_digit());
        *slot = if is_number { part.parse().ok()? } else { return None };
    }
    parts.next().is_none().then_some(found)
}

/// Microseconds of a fraction, if there is one, and what follows it.
fn fraction(text: &str) -> Option<(u64, &str)> {
    let Some(digits) = text.strip_prefix('.') else { return Some((0, text)) };
    let end = digits.find(|c: char| !c.is_ascii_digit())?;
    if end == 0 {
        return None;
    }
    let micros: String = digits[..end].chars().chain("000000".chars()).take(6).collect();
    Some((micros.parse().ok()?, &digits[end..]))
}

fn shift(at: Timestamp, zone: &str) -> Option<Timestamp> {
    if matches!(zone, "Z" | "z") {
        return Some(at);
    }
    let (sign, clock) = zone.split_at_checked(1)?;
    let (hours, minutes) = clock.split_once(':')?;
    let is_number = |part: &str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
    if !is_number(hours) || !is_number(minutes) {
        return None;
    }
    let (hours, minutes): (u64, u64) = (hours.parse().ok()?, minutes.parse().ok()?);
    if hours > 23 || minutes > 59 {
        return None;
    }
    let by = Duration::from_secs(hours * 3_600 + minutes * 60);
    match sign {
        "+" => Some(at.minus(by)),
        "-" => Some(at.plus(by)),
        _ => None,
    }
}

const fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

const fn days_in(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to a date not before it.
fn days_since_epoch(year: u64, month: u64, day: u64) -> u64 {
    let before = year - 1;
    let leap_days = before / 4 - before / 100 + before / 400 - (1969 / 4 - 1969 / 100 + 1969 / 400);
    let months: u64 = (1..month).map(|m| days_in(year, m)).sum();
    (year - 1970) * 365 + leap_days + months + day - 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_printed_is_read_again(millis in 0u64..253_402_300_800_000) {
            let moment = Moment(Timestamp::from_micros(millis * 1_000));
            prop_assert_eq!(moment.to_string().parse::<Moment>(), Ok(moment));
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,40}") {
            let _ = text.parse::<Moment>();
        }
    }

    #[test]
    fn zones_are_honoured_and_nonsense_is_refused() {
        let base: Moment = "2024-02-29T12:00:00Z".parse().unwrap();
        for same in ["2024-02-29T14:30:00+02:30", "2024-02-29 07:00:00.000000-05:00", "2024-02-29t12:00:00z"]
        {
            assert_eq!(same.parse(), Ok(base), "{same}");
        }
        for bad in [
            "",
            "2023-02-29T00:00:00Z",
            "2024-02-29",
            "2024-02-29T24:00:00Z",
            "2024-02-29T12:00:00",
            "2024-02-29T12:00:00.Z",
            "1969-12-31T23:59:59Z",
            "2024-02-29T12:00:00+2:00",
            "2024-2-29T12:00:00Z",
        ] {
            assert!(bad.parse::<Moment>().is_err(), "{bad}");
        }
    }
}
