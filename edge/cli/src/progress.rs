//! How far something is: a line that changes on a terminal, a line a change elsewhere.

use std::io::Write as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Tells people on standard error how far something is.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    last: String,
}

impl Progress {
    pub(crate) fn new(is_terminal: bool) -> Self {
        let bar = is_terminal.then(|| {
            let style = ProgressStyle::with_template("{spinner} {msg} {elapsed}");
            let bar = ProgressBar::new_spinner().with_style(style.expect("the template is well-formed"));
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Self { bar, last: String::new() }
    }

    /// How it stands now. Elsewhere than on a terminal the same again says nothing.
    pub(crate) fn tell(&mut self, text: String) {
        if text == self.last {
            return;
        }
        match &self.bar {
            Some(bar) => bar.set_message(text.clone()),
            None => log(&text),
        }
        self.last = text;
    }

    /// A line that stays.
    pub(crate) fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| log(text)),
            None => log(text),
        }
    }

    /// A function that tells bytes from anywhere; silent where lines would pile up.
    pub(crate) fn bytes(&self, what: String) -> impl FnMut(u64) + Send + 'static {
        let bar = self.bar.clone();
        move |bytes| {
            if let Some(bar) = &bar {
                bar.set_message(format!("{what}: {} sent", kogge_model::resources::Bytes(bytes)));
            }
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Nobody listening to talk is no failure.
fn log(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
