//! An error with all its causes as one sentence for people.

use std::error::Error;

/// `what failed: why: why`, leaving out causes that the outer message repeats.
pub(crate) fn of(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let part = error.to_string();
        if !text.contains(&part) {
            text.push_str(": ");
            text.push_str(&part);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot start")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn causes_follow_what_failed() {
        assert_eq!(of(&Outer(std::io::Error::other("no room"))), "cannot start: no room");
    }
}
