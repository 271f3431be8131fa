//! Sizes and processor time as people write them.

use std::str::FromStr;

use kogge_model::resources::{Bytes, CpuMillis};

/// `64M`, `1.5G`, `512MiB`, `100MB` or plain bytes. K, M, G and T are binary, as are KiB, MiB, …; KB, MB, … are
/// decimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub Bytes);

/// `0.5` cores, or `500m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cpus(pub CpuMillis);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(end);
        let shape = "expected a size such as 64M or 1.5G";
        if number.is_empty() {
            return Err(shape.to_owned());
        }
        let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
            "" | "b" => 1,
            "k" | "ki" | "kib" => 1 << 10,
            "m" | "mi" | "mib" => 1 << 20,
            "g" | "gi" | "gib" => 1 << 30,
            "t" | "ti" | "tib" => 1 << 40,
            "kb" => 1_000,
            "mb" => 1_000_000,
            "gb" => 1_000_000_000,
            "tb" => 1_000_000_000_000,
            _ => return Err(format!("{unit:?} is no unit of size: use K, M, G, T or KB, MB, GB, TB")),
        };
        let bytes = decimal(number, factor).ok_or(shape)?;
        Ok(Self(Bytes(bytes)))
    }
}

impl FromStr for Cpus {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (number, factor) = text.strip_suffix('m').map_or((text, 1_000), |millis| (millis, 1));
        let millis = decimal(number, factor).ok_or("expected processor time such as 0.5 or 500m")?;
        Ok(Self(CpuMillis(millis)))
    }
}

/// A decimal number times `factor`, rounded down; none when it is no number or too large.
pub(crate) fn decimal(text: &str, factor: u64) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let has_digits = !whole.is_empty() || !fraction.is_empty();
    let are_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if !has_digits || !are_digits(whole) || !are_digits(fraction) || fraction.len() > 9 {
        return None;
    }
    let number = |part: &str| if part.is_empty() { Some(0) } else { part.parse::<u128>().ok() };
    let scale = 10u128.pow(u32::try_from(fraction.len()).ok()?);
    let value = number(whole)?.checked_mul(scale)?.checked_add(number(fraction)?)?;
    u64::try_from(value.checked_mul(u128::from(factor))? / scale).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("64M", 64 << 20),
            ("1.5G", 3 << 29),
            ("512MiB", 512 << 20),
            ("512 mib", 512 << 20),
            ("100MB", 100_000_000),
            (".5k", 512),
            ("2t", 2 << 40),
        ] {
            assert_eq!(text.parse::<Size>(), Ok(Size(Bytes(bytes))), "{text}");
        }
        for bad in ["", "M", "1..5G", "1,5G", "-1", "1X", "99999999999999999999T", "1.0000000001G", "٣M"] {
            assert!(bad.parse::<Size>().is_err(), "{bad}");
        }
    }

    #[test]
    fn processor_time_is_read_in_cores_and_thousandths() {
        for (text, millis) in [("0.5", 500), ("2", 2000), ("250m", 250), (".001", 1)] {
            assert_eq!(text.parse::<Cpus>(), Ok(Cpus(CpuMillis(millis))), "{text}");
        }
        for bad in ["", "m", "half", "0.5.1", "-1", "1e3"] {
            assert!(bad.parse::<Cpus>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,24}") {
            let _ = (text.parse::<Size>(), text.parse::<Cpus>());
        }
    }
}
