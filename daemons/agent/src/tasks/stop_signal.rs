//! The signal that asks an image's program to end (image-spec, config.md, `StopSignal`).

const SIGTERM: i32 = 15;

/// The first real-time signal that glibc leaves to programs.
const SIGRTMIN: i32 = 34;
const SIGRTMAX: i32 = 64;

const NAMES: [(&str, i32); 14] = [
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ABRT", 6),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", SIGTERM),
    ("CONT", 18),
    ("PWR", 30),
    ("WINCH", 28),
];

/// The number of `text`: `SIGTERM`, `TERM`, `15`, `SIGRTMIN+3`. What nobody understands is SIGTERM.
pub(crate) fn number(text: Option<&str>) -> i32 {
    text.and_then(parse).unwrap_or(SIGTERM)
}

fn parse(text: &str) -> Option<i32> {
    let text = text.trim().to_ascii_uppercase();
    if let Ok(number) = text.parse() {
        return (1..=SIGRTMAX).contains(&number).then_some(number);
    }
    let name = text.strip_prefix("SIG").unwrap_or(&text);
    let real_time =
        |base: i32, offset: i32| (SIGRTMIN..=SIGRTMAX).contains(&(base + offset)).then_some(base + offset);
    if let Some(rest) = name.strip_prefix("RTMIN") {
        return if rest.is_empty() { Some(SIGRTMIN) } else { real_time(SIGRTMIN, rest.parse().ok()?) };
    }
    if let Some(rest) = name.strip_prefix("RTMAX") {
        return if rest.is_empty() { Some(SIGRTMAX) } else { real_time(SIGRTMAX, rest.parse().ok()?) };
    }
    NAMES.iter().find(|(known, _)| *known == name).map(|(_, number)| *number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_write_signals_in_many_ways() {
        for (text, expected) in [
            (Some("SIGQUIT"), 3),
            (Some("quit"), 3),
            (Some("9"), 9),
            (Some("SIGRTMIN+3"), 37),
            (Some("RTMAX-2"), 62),
            (Some("SIGRTMIN+90"), 15),
            (Some("0"), 15),
            (Some("nonsense"), 15),
            (None, 15),
        ] {
            assert_eq!(number(text), expected, "{text:?}");
        }
    }
}
